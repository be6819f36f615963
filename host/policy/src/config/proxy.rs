//! `[proxy]`.

use super::ConfigError;
use super::reader::{Table, Text};
use super::show::{array, line, quoted};
use crate::proxy::{Exception, Proxies, Proxy};

/// Reads the table. An empty one says that there is no proxy, whatever the
/// environment says.
pub(super) fn read(table: &Table<'_>) -> Result<Proxies, ConfigError> {
    table.refuse_unknown(&["https", "http", "except"], &[])?;
    let except = table.texts("except")?.unwrap_or_default();
    Ok(Proxies {
        https: proxy(table.text("https")?)?,
        http: proxy(table.text("http")?)?,
        except: except
            .iter()
            .map(|text| {
                Exception::parse(text.value).ok_or_else(|| {
                    text.refuse("this is not a host that is reached without a proxy")
                        .with_hint(
                            "write a domain, an address or a network: `example.com`, `10.0.0.0/8`",
                        )
                })
            })
            .collect::<Result<_, _>>()?,
    })
}

/// The text is not repeated in an error: it may hold a password.
fn proxy(text: Option<Text<'_>>) -> Result<Option<Proxy>, ConfigError> {
    text.map(|text| text.parse()).transpose()
}

/// `[proxy]` as it may be shown: without logins.
pub(super) fn toml(proxies: &Proxies) -> String {
    let mut text = "[proxy]\n".to_owned();
    for (key, proxy) in [("https", &proxies.https), ("http", &proxies.http)] {
        if let Some(proxy) = proxy {
            if proxy.login().is_some() {
                text.push_str("# with a user name and a password, which are not shown\n");
            }
            line(&mut text, key, &quoted(&proxy.to_string()));
        }
    }
    if !proxies.except.is_empty() {
        line(&mut text, "except", &array(&proxies.except));
    }
    text
}
