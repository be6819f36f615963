//! `[proxy]`.

use super::ConfigError;
use super::reader::{Table, Text};
use super::show::{array, line, quoted};
use crate::proxy::{Exception, Proxies, Proxy, ProxySource};

/// The keys of the table.
pub(super) const KEYS: [&str; 3] = ["https", "http", "except"];

/// Reads the table. An empty one says that there is no proxy, whatever the
/// environment says.
pub(super) fn read(table: &Table<'_>) -> Result<Proxies, ConfigError> {
    table.refuse_unknown(&KEYS, &[])?;
    let except = table.texts("except")?.unwrap_or_default();
    Ok(Proxies {
        https: Ok(proxy(table.text("https")?, "https_proxy")?),
        http: Ok(proxy(table.text("http")?, "http_proxy")?),
        named_by: ProxySource::Configuration(table.place()),
        except: Ok(except
            .iter()
            .map(|text| {
                Exception::parse(text.value).ok_or_else(|| {
                    text.refuse("this is not a host that is reached without a proxy")
                        .with_hint(
                            "write a domain, an address or a network: `example.com`, `10.0.0.0/8`",
                        )
                })
            })
            .collect::<Result<_, _>>()?),
    })
}

/// The text is not repeated in an error: it may hold a password. One that is read is refused, since
/// files like this one are readable by everybody, copied and shown; the environment is the user's own.
fn proxy(text: Option<Text<'_>>, variable: &str) -> Result<Option<Proxy>, ConfigError> {
    let Some(text) = text else {
        return Ok(None);
    };
    let proxy: Proxy = text.parse()?;
    if proxy.login().is_some() {
        return Err(text
            .refuse("a proxy's user name and password do not stand in this file")
            .with_hint(format!(
                "remove `[proxy]` and name the proxy in the environment: `{variable}=http://USER:PASSWORD@HOST:PORT`"
            )));
    }
    Ok(Some(proxy))
}

/// `[proxy]` with its keys.
pub(super) fn toml(proxies: &Proxies) -> String {
    let mut text = "[proxy]\n".to_owned();
    for (key, proxy) in [("https", &proxies.https), ("http", &proxies.http)] {
        if let Ok(Some(proxy)) = proxy {
            line(&mut text, key, &quoted(&proxy.to_string()));
        }
    }
    if let Ok(except) = &proxies.except
        && !except.is_empty()
    {
        line(&mut text, "except", &array(except));
    }
    text
}
