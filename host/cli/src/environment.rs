//! Every environment variable that the program reads, and the folders that follow from them.

use std::ffi::OsString;
use std::path::PathBuf;

use fetchhost_policy::Proxies;
use fetchhost_transport::AuthorityFile;

/// Where the user's configuration lies: `$XDG_CONFIG_HOME/nix-fetchhost`.
const XDG_CONFIG_HOME: &str = "XDG_CONFIG_HOME";
/// Where compiled modules are kept: `$XDG_CACHE_HOME/nix-fetchhost`.
const XDG_CACHE_HOME: &str = "XDG_CACHE_HOME";
/// Where the record of runs is kept: `$XDG_STATE_HOME/nix-fetchhost`.
const XDG_STATE_HOME: &str = "XDG_STATE_HOME";
/// The user's home, under which those above default to `.config`, `.cache` and `.local/state`.
const HOME: &str = "HOME";

/// PEM files of certificate authorities that are trusted besides the platform's.
const AUTHORITIES: [&str; 2] = ["NIX_SSL_CERT_FILE", "SSL_CERT_FILE"];

// `https_proxy`, `http_proxy`, `all_proxy` and `no_proxy`, in small and in capital letters, and
// `REQUEST_METHOD` are asked for by `Proxies::from_environment`.

/// Where AWS's own tools look for access keys: variables that hold them, or name a place of them.
const AWS_KEYS: [&str; 5] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_CONFIG_FILE",
    "AWS_PROFILE",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
];
/// The files in the home where they look then.
const AWS_FILES: [&str; 2] = [".aws/credentials", ".aws/config"];

/// The folder name below the XDG folders.
const FOLDER: &str = "nix-fetchhost";
/// The administrator's configuration.
const ADMIN_CONFIG: &str = "/etc/nix-fetchhost/config.toml";

/// The folders and files that the environment names.
#[derive(Debug, Clone)]
pub(crate) struct Environment {
    /// The administrator's configuration file; it may be absent.
    pub(crate) admin_config: PathBuf,
    /// The user's configuration file; it may be absent. None without a home.
    pub(crate) user_config: Option<PathBuf>,
    /// Where compiled modules are kept. None without a home: then nothing is kept.
    pub(crate) cache: Option<PathBuf>,
    /// Where the record of runs is kept. None without a home: then there is none.
    pub(crate) state: Option<PathBuf>,
    /// The certificate authorities to trust besides the platform's.
    pub(crate) authorities: Vec<AuthorityFile>,
    /// Whether there are access keys where AWS's own tools look for them.
    pub(crate) has_aws_keys: bool,
    /// The proxies, where the configuration says nothing of them.
    pub(crate) proxies: Proxies,
    /// Where temporary files go: `$TMPDIR`, or `/tmp`.
    pub(crate) tmp: PathBuf,
}

impl Environment {
    /// Reads the process's environment.
    pub(crate) fn read() -> Self {
        Self::from_lookup(|name| std::env::var_os(name), std::env::temp_dir())
    }

    fn from_lookup(lookup: impl Fn(&str) -> Option<OsString>, tmp: PathBuf) -> Self {
        // The XDG specification: a relative path is to be ignored.
        let absolute = |name| {
            lookup(name)
                .map(PathBuf::from)
                .filter(|path| path.is_absolute())
        };
        let under = |xdg, default| {
            absolute(xdg)
                .or_else(|| absolute(HOME).map(|home| home.join(default)))
                .map(|base| base.join(FOLDER))
        };
        Self {
            admin_config: ADMIN_CONFIG.into(),
            user_config: under(XDG_CONFIG_HOME, ".config").map(|folder| folder.join("config.toml")),
            cache: under(XDG_CACHE_HOME, ".cache"),
            state: under(XDG_STATE_HOME, ".local/state"),
            authorities: AUTHORITIES
                .into_iter()
                .filter_map(|named_by| {
                    let path = lookup(named_by).filter(|path| !path.is_empty())?.into();
                    Some(AuthorityFile { path, named_by })
                })
                .collect(),
            has_aws_keys: has_aws_keys(&lookup),
            proxies: Proxies::from_environment(&lookup),
            tmp,
        }
    }
}

/// Whether there are access keys where AWS's own tools look for them.
fn has_aws_keys(lookup: impl Fn(&str) -> Option<OsString>) -> bool {
    let is_set = |name: &&str| lookup(name).is_some_and(|value| !value.is_empty());
    let has_file = || {
        let home = lookup(HOME).map(PathBuf::from);
        home.is_some_and(|home| AWS_FILES.iter().any(|file| home.join(file).exists()))
    };
    AWS_KEYS.iter().any(is_set) || has_file()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(variables: &[(&str, &str)]) -> Environment {
        Environment::from_lookup(
            |name| {
                variables
                    .iter()
                    .find(|(variable, _)| *variable == name)
                    .map(|(_, value)| value.into())
            },
            "/tmp".into(),
        )
    }

    #[test]
    fn xdg_folders_win_over_home() {
        let environment = environment(&[("HOME", "/h"), ("XDG_CONFIG_HOME", "/c")]);
        assert_eq!(
            environment.user_config,
            Some("/c/nix-fetchhost/config.toml".into())
        );
        assert_eq!(environment.cache, Some("/h/.cache/nix-fetchhost".into()));
    }

    #[test]
    fn authorities_and_proxies_are_read_and_an_empty_variable_names_none() {
        let environment = environment(&[
            ("NIX_SSL_CERT_FILE", "/n.pem"),
            ("SSL_CERT_FILE", "/s.pem"),
            ("https_proxy", "http://proxy.example.com:3128"),
            ("no_proxy", "lan"),
        ]);
        let files = environment.authorities.iter();
        let files: Vec<_> = files
            .map(|file| (file.named_by, file.path.to_str().unwrap()))
            .collect();
        assert_eq!(
            files,
            [("NIX_SSL_CERT_FILE", "/n.pem"), ("SSL_CERT_FILE", "/s.pem")]
        );
        let way = |to: &str| {
            let proxy = environment.proxies.for_origin(&to.parse().unwrap());
            proxy.unwrap().map(ToString::to_string)
        };
        let through = Some("http://proxy.example.com:3128".to_owned());
        assert_eq!(way("https://files.example.com"), through);
        assert_eq!(way("https://git.lan"), None);
        let empty = self::environment(&[("SSL_CERT_FILE", ""), ("https_proxy", "")]);
        assert_eq!(empty.authorities, []);
        assert_eq!(empty.proxies, Proxies::default());
    }

    #[test]
    fn a_relative_folder_is_ignored() {
        let environment = environment(&[("XDG_CACHE_HOME", "relative")]);
        assert_eq!(environment.cache, None);
        assert_eq!(environment.user_config, None);
    }
}
