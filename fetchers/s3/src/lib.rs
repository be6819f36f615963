//! The built-in module `s3`: fetches an object of S3 or of storage that speaks its protocol, as it is or
//! unpacked. The host signs the request with the credential of slot `aws`; without one it is anonymous.

mod location;
mod refusal;

use fetchhost_sdk::{
    ArchiveFormat, FetchError, Fetcher, FetcherDescription, OutputRule, Plan, Request, Scheme, Slot,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use location::Location;

/// The only credential slot.
const AWS: &str = "aws";

/// The object is kept as it is, or unpacked into a tree.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Params {
    /// The bucket.
    #[schemars(example = &"artifacts")]
    bucket: String,

    /// The object's key.
    #[schemars(example = &"releases/tool-1.0.tar.gz")]
    key: String,

    /// The region of the bucket in AWS, which is part of the server's name there. Default: us-east-1.
    #[schemars(example = &"eu-west-1")]
    region: Option<String>,

    /// The server, for storage that is not AWS's.
    #[schemars(example = &"https://minio.example.com")]
    endpoint: Option<String>,

    /// Where the bucket's name stands in the URL: in its path, or in front of the server's name (virtual).
    /// Default: virtual in AWS if the name is made of small letters, digits and dashes, else path.
    #[serde(default)]
    addressing_style: AddressingStyle,

    /// The version of the object, in buckets that keep several.
    version_id: Option<String>,

    /// Unpack the object: a zip, or a tar, compressed or not.
    #[serde(default)]
    unpack: bool,

    /// How many leading folders to remove while unpacking.
    #[serde(default)]
    strip_components: u32,
}

/// Where the bucket's name stands. Serialised for the default in the schema.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum AddressingStyle {
    #[default]
    Auto,
    Path,
    Virtual,
}

struct S3Object;

impl Fetcher for S3Object {
    const NAME: &'static str = "s3-object";
    type Params = Params;

    fn describe() -> FetcherDescription {
        FetcherDescription::new("An object of S3, or of storage that speaks its protocol")
            .origin_parameter("endpoint")
            .path("/**")
            .slot(
                Slot::new(
                    AWS,
                    Scheme::AwsSigV4,
                    "access keys that may read the object",
                )
                .optional(),
            )
            .output(OutputRule::nar("source").when("unpack", true))
            .output(OutputRule::flat_named_after("key"))
    }

    fn fetch(params: Params) -> Result<Plan, FetchError> {
        if params.strip_components > 0 && !params.unpack {
            return Err(FetchError::bad_params(
                "`strip-components` is about unpacking: it needs `unpack`",
            ));
        }
        let location = Location::of(&params)?;
        let request = Request::get(&location.url());
        let is_signed = request.authorize(AWS)?;
        let response = request.send()?;
        if response.status() != 200 {
            return Err(refusal::told(response, &params, is_signed));
        }
        if params.unpack {
            Plan::archive(response, ArchiveFormat::Auto, params.strip_components)
        } else {
            Plan::file(response)
        }
    }
}

fetchhost_sdk::export!(S3Object);
