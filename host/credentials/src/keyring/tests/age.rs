//! `age:PATH`.

use std::{
    fs,
    io::Write,
    iter,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use ::age::{
    Encryptor,
    armor::{ArmoredWriter, Format},
    scrypt, x25519,
};
use secrecy::SecretString;
use tempfile::TempDir;

use super::*;
use crate::{AgeProblem, FileError, Identities, IdentityError};

struct Home {
    folder: TempDir,
    identities: Identities,
}

impl Home {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (identities, _) = Identities::load_or_make(&Self::identity(&folder)).unwrap();
        Self { folder, identities }
    }

    fn identity(folder: &TempDir) -> PathBuf {
        folder.path().join("nix-fetchhost/identity.txt")
    }

    fn stage(&self, typed: Option<&'static str>) -> Stage {
        let home = self.folder.path().to_str().unwrap();
        stage(&[("XDG_CONFIG_HOME", home)], typed)
    }

    fn write(&self, content: &[u8]) -> CredentialSpec {
        let path = self.folder.path().join("token.age");
        fs::write(&path, content).unwrap();
        // Whoever can read it gains nothing.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        of(&path)
    }
}

fn of(path: &Path) -> CredentialSpec {
    spec(SourceSpec::Age(path.to_owned()), Scheme::Bearer)
}

fn sealed(recipient: &dyn ::age::Recipient, format: Format, content: &str) -> Vec<u8> {
    let encryptor = Encryptor::with_recipients(iter::once(recipient)).unwrap();
    let armor = ArmoredWriter::wrap_output(Vec::new(), format).unwrap();
    let mut writer = encryptor.wrap_output(armor).unwrap();
    writer.write_all(content.as_bytes()).unwrap();
    writer.finish().unwrap().finish().unwrap()
}

/// With little work, so that tests are quick.
fn with_passphrase(passphrase: &str, work: u8) -> Vec<u8> {
    let mut recipient = scrypt::Recipient::new(SecretString::from(passphrase));
    recipient.set_work_factor(work);
    sealed(&recipient, Format::Binary, CANARY)
}

fn problem(error: CredentialError) -> AgeProblem {
    match error {
        CredentialError::Age { problem, .. } => problem,
        other => panic!("{other}"),
    }
}

#[test]
fn what_is_sealed_to_the_identity_is_read_back() {
    let home = Home::new();
    let secret = Secret::from(String::from(CANARY));
    let file = home.identities.seal(&secret).unwrap();
    assert!(file.starts_with(b"-----BEGIN AGE ENCRYPTED FILE-----"));
    let spec = home.write(&file);
    assert_eq!(home.stage(None).get(&spec).unwrap(), CANARY);
}

#[test]
fn armored_and_binary_files_are_read_and_line_ends_trimmed() {
    let home = Home::new();
    let text = fs::read_to_string(Home::identity(&home.folder)).unwrap();
    let identity: x25519::Identity = text.lines().last().unwrap().parse().unwrap();
    for format in [Format::AsciiArmor, Format::Binary] {
        let file = sealed(&identity.to_public(), format, "canary-5ecret\n");
        let spec = home.write(&file);
        assert_eq!(home.stage(None).get(&spec).unwrap(), CANARY);
    }
}

#[test]
fn a_file_that_is_not_there_is_set_anew() {
    let error = Home::new()
        .stage(None)
        .refusal(&of(Path::new("/nowhere/token.age")));
    assert!(error.hint().unwrap().contains("credential set work"));
}

#[test]
fn a_file_for_somebody_else_is_refused() {
    let home = Home::new();
    let stranger = x25519::Identity::generate();
    let spec = home.write(&sealed(&stranger.to_public(), Format::Binary, CANARY));
    let error = home.stage(None).refusal(&spec);
    assert!(error.hint().unwrap().contains("credential set work"));
    assert!(matches!(problem(error), AgeProblem::OtherIdentity));
}

#[test]
fn the_variable_names_another_identity() {
    let home = Home::new();
    let elsewhere = tempfile::tempdir().unwrap();
    let path = elsewhere.path().join("key.txt");
    let (other, _) = Identities::load_or_make(&path).unwrap();
    let spec = home.write(&other.seal(&Secret::from(String::from(CANARY))).unwrap());
    let stage = stage(
        &[
            ("XDG_CONFIG_HOME", home.folder.path().to_str().unwrap()),
            ("NIX_FETCHHOST_AGE_IDENTITY", path.to_str().unwrap()),
        ],
        None,
    );
    assert_eq!(stage.get(&spec).unwrap(), CANARY);
}

#[test]
fn without_an_identity_the_error_says_how_to_make_one() {
    let home = Home::new();
    let file = home.identities.seal(&Secret::from(String::from(CANARY)));
    let spec = home.write(&file.unwrap());
    fs::remove_file(Home::identity(&home.folder)).unwrap();
    let error = home.stage(None).refusal(&spec);
    assert!(error.hint().unwrap().contains("credential set"), "{error}");
    // Reading never makes one: it could decrypt nothing.
    assert!(!Home::identity(&home.folder).exists());

    let error = stage(&[], None).refusal(&spec);
    let homeless = matches!(
        error,
        CredentialError::Identity {
            error: IdentityError::NoHome,
            ..
        }
    );
    assert!(homeless, "{error}");
}

#[test]
fn a_passphrase_is_asked_for_once_and_only_on_a_terminal() {
    let home = Home::new();
    let spec = home.write(&with_passphrase("open sesame", 2));

    let typed = home.stage(Some("open sesame"));
    for _ in 0..2 {
        assert_eq!(typed.get(&spec).unwrap(), CANARY);
    }
    let asked = typed.asked.lock().unwrap().clone();
    assert_eq!(asked.len(), 1, "{asked:?}");
    assert!(asked[0].starts_with("Passphrase of ") && asked[0].contains("token.age"));

    let error = home.stage(Some("canary")).refusal(&spec);
    assert!(error.hint().unwrap().contains("enter the passphrase"));
    assert!(matches!(problem(error), AgeProblem::WrongPassphrase));

    let error = home.stage(None).refusal(&spec);
    assert!(error.to_string().contains("no terminal"), "{error}");
    assert!(error.hint().unwrap().contains("identity"));
    assert!(matches!(problem(error), AgeProblem::NoTerminal));
}

#[test]
fn a_file_that_demands_endless_work_is_refused_before_it_is_done() {
    let home = Home::new();
    let file = with_passphrase("x", 2);
    let text = String::from_utf8_lossy(&file).into_owned();
    let stanza = text.lines().nth(1).unwrap().to_owned();
    assert!(stanza.starts_with("-> scrypt "));
    // By its end only: the salt before it may begin with the same digit.
    let heavy = format!("{}40", stanza.strip_suffix('2').unwrap());
    let place = stanza.len() + text.lines().next().unwrap().len() + 1;
    let mut bytes = b"age-encryption.org/v1\n".to_vec();
    bytes.extend(heavy.as_bytes());
    bytes.extend(&file[place..]);
    let error = home.stage(Some("x")).refusal(&home.write(&bytes));
    assert!(matches!(problem(error), AgeProblem::TooMuchWork));
}

#[test]
fn damaged_files_are_refused() {
    let home = Home::new();
    let whole = home
        .identities
        .seal(&Secret::from(String::from(CANARY)))
        .unwrap();
    let text = String::from_utf8(whole.clone()).unwrap();
    for file in [
        b"canary in the clear".to_vec(),
        Vec::new(),
        whole[..whole.len() / 2].to_vec(),
        text.replace("-----END", "-----ENDE").into_bytes(),
        [whole.as_slice(), b"canary"].concat(),
    ] {
        let error = home.stage(None).refusal(&home.write(&file));
        assert!(matches!(problem(error), AgeProblem::Damaged));
    }
    let mut binary = with_passphrase("x", 2);
    let last = binary.len() - 1;
    binary[last] ^= 1;
    let error = home.stage(Some("x")).refusal(&home.write(&binary));
    assert!(matches!(problem(error), AgeProblem::Damaged));
}

#[test]
fn a_file_that_others_can_replace_is_refused() {
    let home = Home::new();
    let spec = home.write(b"x");
    let path = home.folder.path().join("token.age");
    fs::set_permissions(path, fs::Permissions::from_mode(0o664)).unwrap();
    let error = home.stage(None).refusal(&spec);
    let open = matches!(
        &error,
        CredentialError::File {
            error: FileError::Permissions { mode: 0o664, .. },
            ..
        }
    );
    assert!(open, "{error}");
    assert!(!error.hint().unwrap().contains("insecure-permissions"));
}
