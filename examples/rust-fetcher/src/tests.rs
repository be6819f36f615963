use super::{JsonAsset, download_url};
use fetchhost_sdk::ErrorKind;
use serde_json::json;

#[test]
fn the_download_url_is_what_the_pointer_names() {
    let document = json!({ "assets": [{ "download_url": "https://files.example.com/a" }] });
    assert_eq!(
        download_url(&document, "/assets/0/download_url").unwrap(),
        "https://files.example.com/a"
    );
}

#[test]
fn a_pointer_to_nothing_and_one_to_something_else_are_told_apart() {
    let document = json!({ "assets": [] });
    let missing = download_url(&document, "/assets/0").unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::NotFound);
    let list = download_url(&document, "/assets").unwrap_err();
    assert_eq!(list.kind(), ErrorKind::BadParams);
}

#[test]
fn the_pointer_may_be_left_out() {
    let params =
        fetchhost_sdk::parameters::<JsonAsset>(r#"{ "document": "https://api.example.com/" }"#)
            .unwrap();
    assert_eq!(params.pointer, "/download_url");
}
