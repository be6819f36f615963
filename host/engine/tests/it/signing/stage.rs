//! The hostile module with an input, and a desk that signs whatever it is told to.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use fetchhost_credentials::Keyring;
use fetchhost_e2e::Hostile;
use fetchhost_engine::{
    Desk, FetchFailure, Input, Module, ModuleError, Plan, Session, SigningError, SigningErrorKind,
    Trust,
};
use fetchhost_keys::{Content, Envelope, PublicKey};
use fetchhost_policy::{Broker, Config, InputName, Limits, ModuleId, SlotName};
use fetchhost_transport::{Client, Settings};
use serde_json::json;

use crate::guest::engine;

/// The input.
pub(crate) const CONTENT: &[u8] = b"what the user has signed\n";

/// What `b2sum` says of it.
pub(crate) const BLAKE2B_512: [u8; 64] = [
    0xb3, 0x24, 0x2e, 0x4e, 0x9e, 0x70, 0x68, 0x93, 0x72, 0x3d, 0x64, 0xf9, 0x7b, 0xd7, 0x8b, 0x1e,
    0x1b, 0xda, 0x57, 0xd0, 0x8e, 0x75, 0x8d, 0x30, 0xa0, 0x18, 0xa9, 0x65, 0x10, 0x4f, 0xa8, 0x41,
    0x07, 0x17, 0xbf, 0xb3, 0xa6, 0xcc, 0x58, 0x6b, 0x83, 0x00, 0x91, 0x86, 0x11, 0x63, 0x90, 0x4d,
    0xbf, 0xd7, 0x73, 0x52, 0xc2, 0x32, 0xe2, 0x97, 0xab, 0xb4, 0x3a, 0xa0, 0xc1, 0x17, 0xfa, 0x70,
];

/// What the desk gives.
pub(crate) const SIGNATURE: &[u8] = b"a signature";

/// A key of minisign's.
pub(crate) const PUBLIC_KEY: &str = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";

/// Why the desk refuses, for the user alone.
pub(crate) const STORY: &str = "the key at /home/canary/minisign.key is not for this";
pub(crate) const HINT: &str = "canary: ask its owner";

/// What the desk says.
#[derive(Clone, Copy)]
pub(crate) enum Answer {
    Sign,
    Refuse(SigningErrorKind),
}

/// A desk that writes down what it is asked.
pub(crate) struct FakeDesk {
    answer: Mutex<(Answer, Duration)>,
    asked: Mutex<Vec<String>>,
}

impl FakeDesk {
    pub(crate) fn answer(&self, answer: Answer) {
        self.answer.lock().unwrap().0 = answer;
    }

    /// Makes it take its time.
    pub(crate) fn delay(&self, delay: Duration) {
        self.answer.lock().unwrap().1 = delay;
    }

    fn note(&self, asked: String) -> Result<(), SigningError> {
        self.asked.lock().unwrap().push(asked);
        let (answer, delay) = *self.answer.lock().unwrap();
        thread::sleep(delay);
        match answer {
            Answer::Sign => Ok(()),
            Answer::Refuse(kind) => Err(refusal(kind)),
        }
    }
}

pub(crate) fn refusal(kind: SigningErrorKind) -> SigningError {
    SigningError {
        kind,
        message: STORY.to_owned(),
        hint: Some(HINT.to_owned()),
    }
}

impl Desk for FakeDesk {
    fn public_key(&self, slot: &SlotName) -> Result<PublicKey, SigningError> {
        self.note(format!("{slot}"))?;
        Ok(PUBLIC_KEY.parse().unwrap())
    }

    fn sign(
        &self,
        slot: &SlotName,
        envelope: &Envelope,
        content: &Content,
    ) -> Result<Vec<u8>, SigningError> {
        let envelope = match envelope {
            Envelope::Minisign {
                untrusted_comment,
                trusted_comment,
            } => format!(
                "minisign {} | {}",
                untrusted_comment.as_str(),
                trusted_comment.as_str()
            ),
            Envelope::Sshsig { namespace } => format!("sshsig {namespace}"),
            Envelope::Raw { padding } => format!("raw {padding:?}"),
        };
        let sha256: String = content
            .digests()
            .sha256()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        self.note(format!("{slot} {envelope} over {sha256}"))?;
        Ok(SIGNATURE.to_vec())
    }
}

/// All that a deed needs.
pub(crate) struct Stage {
    module: Module,
    inputs: BTreeMap<InputName, Arc<Input>>,
    lines: Arc<Mutex<Vec<String>>>,
    pub(crate) desk: Arc<FakeDesk>,
    pub(crate) has_desk: bool,
    pub(crate) limits: Limits,
}

/// The hostile module with this description.
pub(crate) async fn load(description: &str) -> Result<Module, ModuleError> {
    // The tests compile it once.
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("compiled");
    engine(Some(&cache), Limits::default())
        .load(&Hostile::component(description), Trust::ThirdParty)
        .await
}

impl Stage {
    pub(crate) async fn new() -> Self {
        let mut content = tempfile::tempfile().unwrap();
        content.write_all(CONTENT).unwrap();
        let mut stage = Self {
            module: load("signer").await.unwrap(),
            inputs: BTreeMap::new(),
            lines: Arc::default(),
            desk: Arc::new(FakeDesk {
                answer: Mutex::new((Answer::Sign, Duration::ZERO)),
                asked: Mutex::default(),
            }),
            has_desk: true,
            limits: Limits::default(),
        };
        stage.give("content", Input::new(content).unwrap());
        stage
    }

    /// Gives the module an input, in place of one of that name.
    pub(crate) fn give(&mut self, name: &str, input: Input) {
        self.inputs.insert(name.parse().unwrap(), Arc::new(input));
    }

    /// Runs a deed.
    pub(crate) async fn run(&self, deed: &str) -> Result<Plan, FetchFailure> {
        let description = &self.module.description().fetchers["hostile"];
        let id = ModuleId::Digest(self.module.digest());
        let broker = Broker::new(id, "hostile", description, &Config::default(), None).unwrap();
        let lines = Arc::clone(&self.lines);
        let session = Session {
            client: Client::new(Settings::default(), Arc::new(Keyring::new())),
            broker: Arc::new(broker),
            limits: self.limits.clone(),
            tmp: std::env::temp_dir(),
            log: Arc::new(move |line| lines.lock().unwrap().push(line.message)),
            inputs: self.inputs.clone(),
            desk: self
                .has_desk
                .then(|| Arc::clone(&self.desk) as Arc<dyn Desk>),
        };
        let params = json!({ "deed": deed, "key-id": "release" }).to_string();
        self.module.fetch("hostile", &params, session).await
    }

    /// What the desk was asked.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.desk.asked.lock().unwrap().clone()
    }

    /// Forgets what the desk was asked.
    pub(crate) fn forget(&self) {
        self.desk.asked.lock().unwrap().clear();
    }

    /// What the module logged.
    pub(crate) fn logged(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }
}
