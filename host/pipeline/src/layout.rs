//! From a module's plan to content on its way: the host sends what the plan names and judges the answers.

use std::sync::Arc;

use fetchhost_artifact::{Input, Layout, TreeEntry};
use fetchhost_engine::{Entry, Plan, Source};
use fetchhost_policy::{Broker, CredentialName};
use fetchhost_transport::{Client, Response, TransportError};
use futures_util::StreamExt;
use url::Url;

use crate::echo::searched;
use crate::upstream::{Slot, Upstream, UpstreamProblem};
use crate::{Error, Observer};

/// Where an archive came from, so that what turns out to be a web page can be reported as one.
pub(crate) struct Asked {
    pub(crate) url: Url,
    pub(crate) credential: Option<CredentialName>,
    /// Whether the server calls its answer a web page.
    pub(crate) is_html: bool,
    /// The fetcher's first credential slot, to name in hints.
    slot: Option<Slot>,
}

impl Asked {
    /// The answer was a web page where something else was expected.
    pub(crate) fn html(&self, problem: UpstreamProblem) -> Upstream {
        Upstream::html(
            problem,
            &self.url,
            self.credential.clone(),
            self.slot.as_ref(),
        )
    }
}

/// A layout ready to be prepared, and where its main content was asked for.
pub(crate) struct Opened {
    pub(crate) layout: Layout,
    pub(crate) asked: Option<Asked>,
}

/// Opens the sources of a plan.
pub(crate) struct Opener<'a> {
    pub(crate) client: &'a Client,
    pub(crate) broker: &'a Arc<Broker>,
    pub(crate) observer: &'a Arc<dyn Observer>,
    /// The fetcher's first credential slot, to name in hints.
    pub(crate) slot: Option<&'a Slot>,
}

impl Opener<'_> {
    pub(crate) async fn open(&self, plan: Plan) -> Result<Opened, Error> {
        let mut asked = None;
        let layout = match plan {
            Plan::File { source, executable } => Layout::File {
                content: self.source(source, &mut asked).await?,
                executable,
            },
            Plan::Archive {
                source,
                format,
                strip,
            } => Layout::Archive {
                content: self.source(source, &mut asked).await?,
                format,
                strip,
            },
            Plan::Member {
                source,
                format,
                path,
            } => Layout::Member {
                content: self.source(source, &mut asked).await?,
                format,
                path,
            },
            Plan::Tree(entries) => {
                let mut tree = Vec::with_capacity(entries.len());
                for entry in entries {
                    tree.push(self.entry(entry).await?);
                }
                Layout::Tree(tree)
            }
        };
        Ok(Opened { layout, asked })
    }

    async fn entry(&self, entry: Entry) -> Result<TreeEntry, Error> {
        Ok(match entry {
            Entry::File {
                path,
                source,
                executable,
            } => TreeEntry::File {
                path,
                content: self.source(source, &mut None).await?,
                executable,
            },
            Entry::Symlink { path, target } => TreeEntry::Symlink { path, target },
            Entry::Directory { path } => TreeEntry::Directory { path },
        })
    }

    async fn source(&self, source: Source, asked: &mut Option<Asked>) -> Result<Input, Error> {
        match source {
            Source::Bytes(bytes) => Ok(Input::bytes(bytes)),
            Source::Blob(blob) => Ok(Input::spooled(blob)),
            Source::Response(response) => self.response(*response, asked),
            Source::Request(outgoing) => {
                let response = self.client.send(Arc::clone(self.broker), *outgoing).await?;
                self.response(response, asked)
            }
        }
    }

    fn response(&self, response: Response, asked: &mut Option<Asked>) -> Result<Input, Error> {
        Upstream::judge(&response, self.broker, self.slot)?;
        *asked = Some(Asked {
            url: response.url().clone(),
            credential: response.credential().cloned(),
            slot: self.slot.map(|slot| slot.at(self.broker, &response)),
            is_html: response.content_type().is_some_and(|kind| {
                kind.trim_start()
                    .to_ascii_lowercase()
                    .starts_with("text/html")
            }),
        });
        let length = response.content_length();
        let encoding = response.content_encoding();
        if let Some(encoding) = &encoding {
            // An encoding that nobody knows is shown.
            let echo = self.client.echo();
            echo.check(encoding.as_bytes(), response.origin())
                .map_err(TransportError::from)?;
        }
        self.observer.body(length);
        let observer = Arc::clone(self.observer);
        let stream = searched(response, self.client.echo())
            .map(move |chunk| {
                let chunk = chunk?;
                observer.received(chunk.len() as u64);
                Ok(chunk)
            })
            .boxed();
        Ok(Input::stream(length, encoding, stream))
    }
}
