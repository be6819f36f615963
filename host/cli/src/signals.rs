//! Being asked to stop.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// A signal that asks to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stop {
    /// Its number.
    pub(crate) number: u8,
    /// What to call it in a message.
    pub(crate) name: &'static str,
}

const HANGUP: Stop = Stop {
    number: 1,
    name: "a hang-up",
};
const INTERRUPT: Stop = Stop {
    number: 2,
    name: "an interrupt",
};
const TERMINATE: Stop = Stop {
    number: 15,
    name: "a request to terminate",
};

/// Hears the signals that ask to stop, from its creation on.
pub(crate) struct Stops(Option<[(Signal, Stop); 3]>);

impl Stops {
    /// Takes over from the default action, which would leave temporary files behind. Where that is not
    /// possible the default action stays, which stops as well.
    pub(crate) fn listen() -> Self {
        let one = |kind, stop| signal(kind).map(|signal| (signal, stop));
        let all = || -> std::io::Result<_> {
            Ok([
                one(SignalKind::hangup(), HANGUP)?,
                one(SignalKind::interrupt(), INTERRUPT)?,
                one(SignalKind::terminate(), TERMINATE)?,
            ])
        };
        Self(all().ok())
    }

    /// Waits for the next one.
    pub(crate) async fn next(&mut self) -> Stop {
        let Some([hangup, interrupt, terminate]) = &mut self.0 else {
            return std::future::pending().await;
        };
        tokio::select! {
            _ = hangup.0.recv() => hangup.1,
            _ = interrupt.0.recv() => interrupt.1,
            _ = terminate.0.recv() => terminate.1,
        }
    }
}
