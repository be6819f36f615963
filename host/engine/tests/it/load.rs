//! What is refused before anything is fetched.

use fetchhost_engine::{Misbehaviour, ModuleError};
use fetchhost_policy::{Limit, Limits};

use crate::guest::{DESCRIPTION, Guest, LOOP};

#[tokio::test]
async fn a_module_says_what_it_is() {
    let module = Guest::default().load().await.unwrap();
    assert_eq!(module.description().version, "1.0.0");
    assert_eq!(
        module.imports(),
        [
            "nix-fetchhost:fetcher/types@0.1.0",
            "nix-fetchhost:fetcher/artifact@0.1.0"
        ]
    );
    assert!(module.trapped_imports().is_empty());
}

#[tokio::test]
async fn bytes_that_are_no_component_are_refused() {
    let engine = crate::guest::engine(None, Limits::default());
    let core = wat::parse_str("(module)").unwrap();
    for bytes in [&b""[..], b"\0asm", b"#!/bin/sh", &core] {
        let error = engine
            .load(bytes, fetchhost_engine::Trust::ThirdParty)
            .await
            .unwrap_err();
        assert!(
            matches!(error, ModuleError::NotAComponent { .. }),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_component_that_was_cut_short_is_refused() {
    let engine = crate::guest::engine(None, Limits::default());
    let wasm = Guest::default().wasm();
    let error = engine
        .load(
            &wasm[..wasm.len() - 20],
            fetchhost_engine::Trust::ThirdParty,
        )
        .await
        .unwrap_err();
    assert!(
        matches!(error, ModuleError::NotAComponent { .. }),
        "{error}"
    );
}

#[tokio::test]
async fn a_module_beyond_the_size_limit_is_refused() {
    let limits = Limits {
        module_bytes: 100,
        ..Limits::default()
    };
    let error = Guest::default().load_with(limits).await.unwrap_err();
    assert!(matches!(error, ModuleError::TooLarge(_)), "{error}");
    assert!(error.hint().unwrap().contains("module-bytes"));
}

#[tokio::test]
async fn a_module_for_a_later_host_is_told_which() {
    for version in ["0.1.9", "0.2.0"] {
        let error = Guest {
            version,
            ..Guest::default()
        }
        .load()
        .await
        .unwrap_err();
        assert!(
            error
                .to_string()
                .contains(&format!("needs host ≥ {version}")),
            "{error}"
        );
    }
}

#[tokio::test]
async fn an_unknown_import_is_refused_by_its_name() {
    let imports = r#"(import "acme:spy/exec@1.0.0" (instance (export "run" (func))))"#.to_owned();
    let error = Guest {
        imports,
        ..Guest::default()
    }
    .load()
    .await
    .unwrap_err();
    assert_eq!(
        error.to_string(),
        "import `acme:spy/exec@1.0.0` is unknown to this host"
    );
}

#[tokio::test]
async fn an_import_of_another_type_than_the_contracts_is_refused() {
    let imports = r#"(import "nix-fetchhost:fetcher/log@0.1.0" (instance
        (export "info" (func (param "message" u32)))))"#
        .to_owned();
    let error = Guest {
        imports,
        ..Guest::default()
    }
    .load()
    .await
    .unwrap_err();
    assert!(matches!(error, ModuleError::Unfit { .. }), "{error}");
}

#[tokio::test]
async fn a_module_without_fetch_is_refused() {
    let error = Guest {
        export: "fetched",
        ..Guest::default()
    }
    .load()
    .await
    .unwrap_err();
    assert_eq!(error.to_string(), "the module has no export `fetch`");
}

#[tokio::test]
async fn a_description_that_is_no_json_is_refused() {
    let guest = Guest {
        description: "hello".to_owned(),
        ..Guest::default()
    };
    let error = guest.load().await.unwrap_err();
    assert!(matches!(error, ModuleError::Description(_)), "{error}");
}

#[tokio::test]
async fn a_description_that_takes_the_programs_own_flags_is_refused() {
    let description = DESCRIPTION.replace(r#""properties": {}"#, r#""properties": { "hash": {} }"#);
    let error = Guest {
        description,
        ..Guest::default()
    }
    .load()
    .await
    .unwrap_err();
    assert!(error.to_string().contains("hash"), "{error}");
}

#[tokio::test]
async fn a_description_beyond_the_limit_is_refused() {
    let limits = Limits {
        describe_bytes: 100,
        ..Limits::default()
    };
    let error = Guest::default().load_with(limits).await.unwrap_err();
    assert!(error.hint().unwrap().contains("describe-bytes"), "{error}");
}

#[tokio::test]
async fn a_description_that_never_comes_is_not_waited_for() {
    let limits = Limits {
        fuel: 1_000_000,
        ..Limits::default()
    };
    let guest = Guest {
        describe: LOOP,
        ..Guest::default()
    };
    let ModuleError::Misbehaved(misbehaved) = guest.load_with(limits.clone()).await.unwrap_err()
    else {
        panic!()
    };
    assert_eq!(
        misbehaved.what,
        Misbehaviour::Limit(limits.overrun(Limit::Fuel))
    );
}

#[tokio::test]
async fn a_module_that_uses_the_host_while_describing_itself_is_refused() {
    let guest = Guest {
        describe: "(drop (call $tree))",
        ..Guest::default()
    };
    let ModuleError::Misbehaved(misbehaved) = guest.load().await.unwrap_err() else {
        panic!()
    };
    assert_eq!(misbehaved.what, Misbehaviour::NotWhileDescribing);
}
