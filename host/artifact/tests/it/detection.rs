//! What content is, told by its beginning.

use fetchhost_artifact::ArtifactError;

use crate::support::tar::Raw;
use crate::support::*;

#[test]
fn a_format_that_does_not_fit_is_named_with_the_one_that_does() {
    let archived = Raw::new().file("a", b"x").end();
    let error = refused(archive(gzip(&archived), "tar.xz"));
    assert_eq!(
        error.to_string(),
        "the content is no tar.xz archive, it looks like tar.gz"
    );
    let error = refused(archive(&b"\x7fELF what"[..], "auto"));
    assert!(matches!(error, ArtifactError::UnknownFormat));
    assert!(error.hint().is_some());
    for format in ["tar.gz", "tar.bz2", "tar.xz", "tar.zst"] {
        let error = refused(archive(&b""[..], format));
        assert!(
            matches!(error, ArtifactError::WrongFormat { found: None, .. }),
            "{error}"
        );
    }
    assert!(matches!(
        refused(archive(gzip(b"no tar"), "auto")),
        ArtifactError::Malformed { .. }
    ));
}

#[test]
fn a_login_page_is_told_from_an_archive() {
    for format in ["auto", "zip", "tar", "tar.gz", "tar.zst"] {
        for page in ["<!DOCTYPE html><html>Sign in</html>", "\n\t<html>"] {
            let error = refused(archive(page.as_bytes(), format));
            assert!(matches!(error, ArtifactError::LooksLikeHtml), "{format}");
            assert!(error.hint().unwrap().contains("credential"));
        }
    }
    // Also when the server compressed it.
    let page = encoded(&gzip(b"<!doctype html>"), "gzip");
    let layout = fetchhost_artifact::Layout::Archive {
        content: page,
        format: "auto".parse().unwrap(),
        strip: 0,
    };
    assert!(matches!(refused(layout), ArtifactError::LooksLikeHtml));
}
