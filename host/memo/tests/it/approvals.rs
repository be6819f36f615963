//! What the user approved for a key.

use std::time::{Duration, SystemTime};

use crate::common::Scene;

#[test]
fn contents_are_approved_for_one_key_and_taken_back() {
    let scene = Scene::new();
    let memo = scene.alone("a");
    let (key, other) = ("ed25519:sha256:aa", "ed25519:sha256:bb");
    assert!(!memo.is_approved(key, &[1; 32]).unwrap());
    assert_eq!(memo.approve(key, &[[1; 32], [2; 32], [1; 32]]).unwrap(), 2);
    assert_eq!(memo.approve(key, &[[1; 32]]).unwrap(), 0);
    // Others see it at once.
    let again = scene.alone("a");
    assert!(again.is_approved(key, &[1; 32]).unwrap());
    assert!(!again.is_approved(other, &[1; 32]).unwrap());
    assert!(!again.is_approved(key, &[3; 32]).unwrap());
    let all = again.approvals().unwrap();
    assert_eq!(all.len(), 2);
    assert_eq!((all[0].key.as_str(), all[0].content), (key, [1; 32]));
    let age = SystemTime::now()
        .duration_since(all[0].at)
        .unwrap_or_default();
    assert!(age < Duration::from_secs(600));
    assert_eq!(again.withdraw(other, &[[1; 32]]).unwrap(), 0);
    assert_eq!(again.withdraw(key, &[[1; 32], [9; 32]]).unwrap(), 1);
    assert!(!memo.is_approved(key, &[1; 32]).unwrap());
    assert!(memo.is_approved(key, &[2; 32]).unwrap());
}

/// Approvals are the user's own: no export takes them along, no shared place gives any.
#[test]
fn approvals_do_not_travel() {
    let scene = Scene::new();
    let memo = scene.together("a");
    memo.approve("key", &[[1; 32]]).unwrap();
    let mut out = Vec::new();
    assert_eq!(memo.export(&mut out).unwrap(), 0);
    assert!(!scene.together("b").is_approved("key", &[1; 32]).unwrap());
}
