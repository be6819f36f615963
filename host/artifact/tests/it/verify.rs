//! Only bytes that have the declared hash are verified.

use crate::support::{hash, runtime};
use fetchhost_artifact::{Input, Layout, Measured, Verified, VerifyError, Want, prepare};
use fetchhost_formats::{FixedOutput, HashAlgorithm, OutputMode};
use fetchhost_policy::Limits;

const ALGORITHMS: [HashAlgorithm; 4] = [
    HashAlgorithm::Md5,
    HashAlgorithm::Sha1,
    HashAlgorithm::Sha256,
    HashAlgorithm::Sha512,
];

fn measure(content: &'static str, algorithm: HashAlgorithm) -> Measured {
    let dir = tempfile::tempdir().unwrap();
    let layout = Layout::File {
        content: Input::bytes(content),
        executable: false,
    };
    runtime().block_on(async {
        let ready = prepare(layout, &Limits::default(), dir.path())
            .await
            .unwrap();
        let want = Want {
            flat: Some(algorithm),
            nar: Some(algorithm),
        };
        ready.emit(want, Vec::new()).await.unwrap()
    })
}

fn output(mode: OutputMode, hash: fetchhost_formats::Hash) -> FixedOutput {
    FixedOutput {
        name: "source".parse().unwrap(),
        mode,
        hash,
    }
}

#[test]
fn the_declared_hash_is_compared_in_its_own_mode_and_algorithm() {
    for algorithm in ALGORITHMS {
        let measured = measure("content", algorithm);
        let flat = hash(algorithm, b"content");
        let nar = measured.nar_declared().unwrap().clone();
        assert_ne!(flat, nar);
        for (mode, right, wrong) in [
            (OutputMode::Flat, &flat, &nar),
            (OutputMode::Nar, &nar, &flat),
        ] {
            let declared = output(mode, right.clone());
            let verified = Verified::check(&declared, measured.clone()).unwrap();
            assert_eq!(verified.fixed_output(), &declared);
            assert_eq!(verified.store_path(), &declared.store_path());
            assert_eq!(verified.nar_hash(), measured.nar_sha256());
            assert_eq!(verified.nar_size(), measured.nar_size());
            let declared = output(mode, wrong.clone());
            let error = Verified::check(&declared, measured.clone()).unwrap_err();
            let VerifyError::Mismatch(mismatch) = error else {
                panic!("{error}")
            };
            assert_eq!((&mismatch.specified, &mismatch.got), (wrong, right));
            assert_eq!(mismatch.mode, mode);
            assert!(mismatch.is_file && mismatch.is_of_other_mode);
        }
    }
}

#[test]
fn a_mismatch_reads_as_nix_says_it() {
    let measured = measure("content", HashAlgorithm::Sha256);
    let declared = output(OutputMode::Flat, hash(HashAlgorithm::Sha256, b"other"));
    let got = hash(HashAlgorithm::Sha256, b"content");
    let error = Verified::check(&declared, measured).unwrap_err();
    let VerifyError::Mismatch(mismatch) = &error else {
        panic!("{error}")
    };
    assert!(!mismatch.is_of_other_mode);
    let expected = format!(
        "hash mismatch in fixed-output derivation '{}':\n         specified: {}\n            got:    {}",
        declared.store_path(),
        declared.hash,
        got
    );
    assert_eq!(error.to_string(), expected);
}

#[test]
fn a_hash_that_was_not_measured_verifies_nothing() {
    let measured = measure("content", HashAlgorithm::Sha1);
    for mode in [OutputMode::Flat, OutputMode::Nar] {
        let declared = output(mode, hash(HashAlgorithm::Sha512, b"content"));
        let error = Verified::check(&declared, measured.clone()).unwrap_err();
        assert!(matches!(error, VerifyError::NotMeasured { .. }), "{error}");
    }
}

#[test]
fn the_first_fetch_declares_what_it_measured() {
    let measured = measure("content", HashAlgorithm::Sha512);
    let name = "source".parse().unwrap();
    let verified =
        Verified::measured(name, OutputMode::Flat, HashAlgorithm::Sha512, measured).unwrap();
    assert_eq!(
        verified.fixed_output().hash,
        hash(HashAlgorithm::Sha512, b"content")
    );
    assert_eq!(verified.flat_size(), Some(7));
}

#[test]
fn an_executable_file_is_no_flat_output() {
    let dir = tempfile::tempdir().unwrap();
    let layout = Layout::File {
        content: Input::bytes("content"),
        executable: true,
    };
    let measured = runtime().block_on(async {
        let ready = prepare(layout, &Limits::default(), dir.path())
            .await
            .unwrap();
        let want = Want {
            flat: Some(HashAlgorithm::Sha256),
            nar: Some(HashAlgorithm::Sha256),
        };
        ready.emit(want, Vec::new()).await.unwrap()
    });
    let nar = output(OutputMode::Nar, measured.nar_sha256().clone());
    assert!(Verified::check(&nar, measured.clone()).is_ok());
    let flat = output(OutputMode::Flat, hash(HashAlgorithm::Sha256, b"content"));
    assert_eq!(
        Verified::check(&flat, measured).unwrap_err(),
        VerifyError::ExecutableFlat
    );
}
