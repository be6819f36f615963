//! Whether anything is going on, for a gateway that ends when nothing is.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Counts what is going on.
#[derive(Debug)]
pub(crate) struct Activity(Mutex<(usize, Instant)>);

impl Activity {
    pub(crate) fn new() -> Self {
        Self(Mutex::new((0, Instant::now())))
    }

    /// Something goes on until what is returned is dropped.
    pub(crate) fn begin(self: &Arc<Self>) -> Active {
        self.change(|number| number + 1);
        Active(Arc::clone(self))
    }

    fn change(&self, change: impl Fn(usize) -> usize) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *state = (change(state.0), Instant::now());
    }

    /// Returns when nothing has gone on for this long.
    pub(crate) async fn idle(&self, long: Duration) {
        loop {
            let (number, since) = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let quiet = since.elapsed();
            if number == 0 && quiet >= long {
                return;
            }
            let rest = if number == 0 { long - quiet } else { long };
            tokio::time::sleep(rest).await;
        }
    }
}

/// Something that goes on.
#[derive(Debug)]
pub(crate) struct Active(Arc<Activity>);

impl Drop for Active {
    fn drop(&mut self) {
        self.0.change(|number| number.saturating_sub(1));
    }
}
