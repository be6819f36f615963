use super::{GitlabRelease, Params, Release, address};
use fetchhost_sdk::ErrorKind;
use serde_json::json;

fn params(tag: &str, asset: &str) -> Params {
    let json = json!({ "project": "group/project", "tag": tag, "asset": asset });
    fetchhost_sdk::parameters::<GitlabRelease>(&json.to_string()).unwrap()
}

fn release(names: &[String]) -> Release {
    let links: Vec<_> = names
        .iter()
        .map(|name| {
            json!({
                "id": 1,
                "name": name,
                "url": format!("https://files.example/{name}"),
                "direct_asset_url": format!("https://files.example/{name}"),
                "link_type": "other",
            })
        })
        .collect();
    let json = json!({
        "tag_name": "v1",
        "assets": { "count": 1, "sources": [], "links": links },
    });
    serde_json::from_value(json).unwrap()
}

#[test]
fn a_tag_is_one_segment() {
    assert_eq!(
        address(&params("release/v1+2", "a")).unwrap(),
        "https://gitlab.com/api/v4/projects/group%2Fproject/releases/release%2Fv1%2B2"
    );
}

#[test]
fn what_is_no_tag_is_refused_by_its_name() {
    for tag in ["", "../v1", "v1/downloads/..", "v 1"] {
        let error = address(&params(tag, "a")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BadParams);
        assert!(error.message().starts_with("`tag` "), "{error}");
    }
}

#[test]
fn an_asset_is_found_by_its_exact_name() {
    let release = release(&["engine".to_owned(), "engine.sig".to_owned()]);
    assert_eq!(
        release.link(&params("v1", "engine.sig")).unwrap().url,
        "https://files.example/engine.sig"
    );
}

#[test]
fn an_asset_that_is_missing_is_told_with_those_that_are_there() {
    let two = release(&["engine".to_owned(), "engine.sig".to_owned()]);
    let error = two.link(&params("v1", "Engine")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert_eq!(
        error.message(),
        "release `v1` of `group/project` links to no asset called `Engine`: it has `engine`, `engine.sig`"
    );
    let none = release(&[]);
    let error = none.link(&params("v1", "a")).unwrap_err();
    assert!(error.message().ends_with(": it has none"), "{error}");
    let many: Vec<_> = (0..25).map(|number| format!("a{number}")).collect();
    let error = release(&many).link(&params("v1", "a")).unwrap_err();
    assert!(error.message().ends_with("`a19`, and 5 more"), "{error}");
}

#[test]
fn a_release_of_an_old_gitlab_or_without_links_can_be_read() {
    let json = r#"{ "assets": { "links": [{ "name": "a", "url": "https://b.example/a" }] } }"#;
    let release: Release = serde_json::from_str(json).unwrap();
    assert_eq!(release.assets.links[0].direct_asset_url, None);
    let release: Release = serde_json::from_str(r#"{ "assets": {} }"#).unwrap();
    assert!(release.assets.links.is_empty());
}

#[test]
fn the_result_is_a_file_called_as_the_asset() {
    let description = fetchhost_sdk::description::<GitlabRelease>();
    assert_eq!(description["needs"]["paths"], json!(["/**"]));
    assert_eq!(description["needs"]["methods"], json!(["GET", "HEAD"]));
    assert_eq!(description["needs"]["origins"], json!([]));
    assert_eq!(
        description["output"],
        json!([{ "mode": "flat", "name-from": "asset" }])
    );
    assert_eq!(
        description["parameters"]["required"],
        json!(["project", "tag", "asset"])
    );
}
