//! `inputs`: files that the user gives.

use std::sync::Arc;

use fetchhost_keys::{Content, ContentDigests};
use fetchhost_policy::InputName;
use wasmtime::component::Resource;

use super::error;
use super::response::READ_BYTES;
use crate::bindings::nix_fetchhost::fetcher::inputs::{Host as InputsHost, HostInput};
use crate::bindings::nix_fetchhost::fetcher::types::FetchError;
use crate::session::Fetch;
use crate::signing::{Input, InputError};
use crate::store::Host;
use crate::trap::shown;

/// An input in the guest's hands.
#[derive(Clone)]
#[expect(unreachable_pub, reason = "the bindings re-export it")]
pub struct OpenInput {
    name: InputName,
    input: Arc<Input>,
}

impl OpenInput {
    /// The content with its digests, which are calculated once.
    pub(super) async fn content(
        &self,
        fetch: &mut Fetch,
    ) -> wasmtime::Result<Result<Content, FetchError>> {
        self.ask(fetch, Input::content).await
    }

    /// Asks the file something; what goes wrong is told to the user.
    async fn ask<T: Send + 'static>(
        &self,
        fetch: &mut Fetch,
        question: impl FnOnce(&Input) -> std::io::Result<T> + Send + 'static,
    ) -> wasmtime::Result<Result<T, FetchError>> {
        let input = Arc::clone(&self.input);
        Ok(match blocking(fetch, move || question(&input)).await? {
            Ok(answer) => Ok(answer),
            Err(error) => {
                fetch.verdict.input(InputError::Unusable {
                    name: self.name.clone(),
                    error,
                });
                Err(error::new("other", "the input cannot be used"))
            }
        })
    }
}

/// Does what takes its time elsewhere, while the guest's clock stands still.
pub(super) async fn blocking<T: Send + 'static>(
    fetch: &Fetch,
    work: impl FnOnce() -> T + Send + 'static,
) -> wasmtime::Result<T> {
    let _working = fetch.progress.working();
    tokio::task::spawn_blocking(work).await.map_err(|error| {
        error::HostTrouble(format!("a thread ended without a result: {error}")).into()
    })
}

impl HostInput for Host {
    async fn size(&mut self, this: Resource<OpenInput>) -> wasmtime::Result<u64> {
        let (table, _) = self.parts()?;
        Ok(table.get(&this)?.input.size())
    }

    async fn digest(
        &mut self,
        this: Resource<OpenInput>,
        algorithm: String,
    ) -> wasmtime::Result<Result<Vec<u8>, FetchError>> {
        let (table, fetch) = self.parts()?;
        let input = table.get(&this)?.clone();
        let digest: fn(&ContentDigests) -> &[u8] = match algorithm.as_str() {
            "sha256" => |digests| digests.sha256(),
            "sha512" => |digests| digests.sha512(),
            "blake2b-512" => |digests| digests.blake2b512(),
            other => {
                let message = format!("no digest `{}`", shown(other));
                return Ok(Err(error::new("unsupported", message)));
            }
        };
        let content = match input.content(fetch).await? {
            Ok(content) => content,
            Err(told) => return Ok(Err(told)),
        };
        let digest = digest(content.digests()).to_vec();
        fetch.count_read(digest.len())?;
        Ok(Ok(digest))
    }

    async fn read(
        &mut self,
        this: Resource<OpenInput>,
        offset: u64,
        len: u32,
    ) -> wasmtime::Result<Result<Vec<u8>, FetchError>> {
        let (table, fetch) = self.parts()?;
        let input = table.get(&this)?.clone();
        let left = usize::try_from(input.input.size().saturating_sub(offset)).unwrap_or(usize::MAX);
        let length = left.min(len as usize).min(READ_BYTES);
        fetch.count_read(length)?;
        input
            .ask(fetch, move |input| input.read(offset, length))
            .await
    }

    async fn drop(&mut self, this: Resource<OpenInput>) -> wasmtime::Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}

impl InputsHost for Host {
    async fn open(
        &mut self,
        name: String,
    ) -> wasmtime::Result<Result<Resource<OpenInput>, FetchError>> {
        let (table, fetch) = self.parts()?;
        let declared = &fetch.declared.inputs;
        let Some(name) = declared.iter().find(|known| known.as_str() == name) else {
            let message = format!("the description names no input `{}`", shown(&name));
            return Ok(Err(error::invalid(message)));
        };
        let name = name.clone();
        let Some(input) = fetch.session.inputs.get(&name) else {
            fetch.verdict.input(InputError::NotGiven(name));
            return Ok(Err(error::new("bad-params", "the input was not given")));
        };
        let input = Arc::clone(input);
        Ok(Ok(table.push(OpenInput { name, input })?))
    }
}
