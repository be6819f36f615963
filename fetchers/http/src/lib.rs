//! The built-in module `http`: fetches a file by its URL, as it is or unpacked, from the first of several
//! places that has it.

mod mirror;

use fetchhost_sdk::{
    ArchiveFormat, FetchError, Fetcher, FetcherDescription, OutputRule, Plan, Request, Scheme,
    Slot, Source, url,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The only credential slot.
const AUTH: &str = "auth";

/// The file is kept as it is, or unpacked into a tree.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Params {
    /// The URL of the file.
    #[schemars(example = &"https://example.com/source.tar.gz")]
    url: String,

    /// The same file elsewhere: whole URLs, tried in this order if an origin cannot be reached, does
    /// not have the file, or fails. Each origin needs a grant of its own, and gets a credential only if
    /// one is bound to it.
    #[serde(default)]
    #[schemars(example = mirrors())]
    mirror: Vec<String>,

    /// Unpack the file: a zip, or a tar, compressed or not.
    #[serde(default)]
    unpack: bool,

    /// How the file is packed. Its first bytes tell, except for a zip behind a program that unpacks it
    /// and for a tar of the oldest kind.
    #[serde(default)]
    format: Format,

    /// How many leading folders to remove while unpacking.
    #[serde(default)]
    strip_components: u32,
}

/// An example.
fn mirrors() -> [&'static str; 1] {
    ["https://mirror.example.org/source.tar.gz"]
}

/// The formats of archives, `auto` by the first bytes. Serialised for the default in the schema.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
enum Format {
    #[default]
    #[serde(rename = "auto")]
    Auto,
    #[serde(rename = "zip")]
    Zip,
    #[serde(rename = "tar")]
    Tar,
    #[serde(rename = "tar.gz")]
    TarGzip,
    #[serde(rename = "tar.bz2")]
    TarBzip2,
    #[serde(rename = "tar.xz")]
    TarXz,
    #[serde(rename = "tar.zst")]
    TarZstd,
}

impl From<Format> for ArchiveFormat {
    fn from(format: Format) -> Self {
        match format {
            Format::Auto => Self::Auto,
            Format::Zip => Self::Zip,
            Format::Tar => Self::Tar,
            Format::TarGzip => Self::TarGzip,
            Format::TarBzip2 => Self::TarBzip2,
            Format::TarXz => Self::TarXz,
            Format::TarZstd => Self::TarZstd,
        }
    }
}

struct HttpFile;

impl Fetcher for HttpFile {
    const NAME: &'static str = "http-file";
    type Params = Params;

    fn describe() -> FetcherDescription {
        FetcherDescription::new("A file by its URL")
            .origin_parameter("url")
            .path("/**")
            .slot(Slot::new(AUTH, Scheme::Bearer, "whatever the server wants").optional())
            .output(OutputRule::nar("source").when("unpack", true))
            .output(OutputRule::flat_named_after("url"))
    }

    fn fetch(params: Params) -> Result<Plan, FetchError> {
        let unpacking = params.unpacking()?;
        let places = params.places()?;
        let content: Source = match places.as_slice() {
            // The host sends it, and resumes and judges it by itself.
            [only] => request(only)?.into(),
            places => mirror::first(places)?.into(),
        };
        match unpacking {
            Some(Unpacking { format, strip }) => Plan::archive(content, format.into(), strip),
            None => Plan::file(content),
        }
    }
}

/// A GET with the credential, where the user bound one for the URL's origin.
fn request(url: &str) -> Result<Request, FetchError> {
    let request = Request::get(url);
    request.authorize(AUTH)?;
    Ok(request)
}

/// How the file is unpacked.
#[derive(Debug, PartialEq, Eq)]
struct Unpacking {
    format: Format,
    strip: u32,
}

impl Params {
    /// How the file is unpacked, or that it is not.
    fn unpacking(&self) -> Result<Option<Unpacking>, FetchError> {
        let needs_unpack = |name: &str| {
            let message = format!("`{name}` is about unpacking: it needs `unpack`");
            Err(FetchError::bad_params(message))
        };
        match (self.unpack, self.format, self.strip_components) {
            (true, format, strip) => Ok(Some(Unpacking { format, strip })),
            (false, Format::Auto, 0) => Ok(None),
            (false, Format::Auto, _) => needs_unpack("strip-components"),
            (false, ..) => needs_unpack("format"),
        }
    }

    /// Where the file may be, in order.
    fn places(&self) -> Result<Vec<&str>, FetchError> {
        let mut places = vec![url::absolute("url", &self.url)?];
        for (index, mirror) in self.mirror.iter().enumerate() {
            places.push(url::absolute(&format!("mirror[{index}]"), mirror)?);
        }
        Ok(places)
    }
}

fetchhost_sdk::export!(HttpFile);

#[cfg(test)]
mod tests;
