//! One fetch from request to result: the use case that joins modules, transport, artifacts and sinks.
//!
//! The order is the promise. Destinations that already hold the output end the run before anything is
//! contacted, and if only some of them hold it, the others get a copy. Else the module plans and is dropped; the host then moves the bytes, hashes them once while
//! every destination receives them, compares with the declared hash, and only what was
//! [verified](fetchhost_artifact::Verified) can be committed.

mod echo;
mod error;
mod job;
mod layout;
mod observer;
mod run;
mod signing;
mod slots;
mod upstream;
mod watched;

pub use echo::searched;
pub use error::{Category, Error};
pub use job::{Agreement, Disagreement, Expectation, Job, Outcome, SinkReport, SinkStatus};
pub use observer::{Observer, Phase, Silent};
pub use run::run;
pub use signing::{Signed, SigningDesk, Unlocking};
pub use upstream::{Slot, Upstream, UpstreamProblem};
