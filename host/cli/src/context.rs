//! What every command needs.

use std::path::PathBuf;
use std::sync::Arc;

use fetchhost_credentials::Keyring;
use fetchhost_engine::{CompileMode, Engine, Options};
use fetchhost_policy::Proxies;
use fetchhost_transport::Client;

use crate::environment::Environment;
use crate::failure::Failure;
use crate::key_servers::KeyServers;
use crate::printer::Printer;
use crate::settings::Settings;

/// What every command needs.
pub(crate) struct Context {
    /// Where results and everything else go.
    pub(crate) printer: Printer,
    /// The folders that the environment names.
    pub(crate) environment: Environment,
    /// The configuration in force.
    pub(crate) settings: Settings,
    /// Why there is none in force. Only [`Context::even_if_broken`] leaves one.
    pub(crate) broken: Option<Failure>,
}

impl Context {
    pub(crate) fn new(printer: Printer) -> Result<Self, Failure> {
        let environment = Environment::read();
        let settings = Settings::load(&environment)?;
        Ok(Self {
            printer,
            environment,
            settings,
            broken: None,
        })
    }

    /// For a command that looks at a configuration which may be broken: it is empty then.
    pub(crate) fn even_if_broken(printer: Printer) -> Self {
        let environment = Environment::read();
        let (settings, broken) = match Settings::load(&environment) {
            Ok(settings) => (settings, None),
            Err(failure) => (Settings::default(), Some(failure)),
        };
        Self {
            printer,
            environment,
            settings,
            broken,
        }
    }

    /// The folder of compiled modules; none without a home.
    pub(crate) fn compiled_modules(&self) -> Option<PathBuf> {
        self.environment
            .cache
            .as_ref()
            .map(|cache| cache.join("compiled"))
    }

    /// The proxies in force: those of the configuration, which wins even where it names none, or of the
    /// environment.
    pub(crate) fn proxies(&self) -> &Proxies {
        let configured = self.settings.config.proxies();
        configured.unwrap_or(&self.environment.proxies)
    }

    /// The client that sends what a broker permits: with the certificates and proxies that this user's
    /// environment and configuration name.
    pub(crate) fn client(&self, keyring: Arc<Keyring>) -> Client {
        Client::new(self.transport_settings(), keyring)
    }

    /// How this user's connections are made.
    pub(crate) fn transport_settings(&self) -> fetchhost_transport::Settings {
        fetchhost_transport::Settings {
            authorities: self.environment.authorities.clone(),
            proxies: self.proxies().clone(),
            ..Default::default()
        }
    }

    /// A keyring that reads every source of the configuration. One that only looks needs none of this.
    pub(crate) fn keyring(&self) -> Keyring {
        match KeyServers::new(self) {
            None => Keyring::new(),
            Some(servers) => {
                Keyring::new().asking_servers(move |request, cancel| servers.ask(request, cancel))
            }
        }
    }

    /// The engine that runs modules. Modules of others are compiled in a child of this program.
    pub(crate) fn engine(&self) -> Result<Engine, Failure> {
        let executable = std::env::current_exe().map_err(|error| {
            Failure::usage(format!("this program's own file cannot be found: {error}"))
        })?;
        let options = Options {
            cache_dir: self.compiled_modules(),
            limits: self.settings.config.limits(),
            compile: CompileMode::Child(executable),
        };
        Ok(Engine::new(options))
    }
}
