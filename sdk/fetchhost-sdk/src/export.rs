//! The macro that turns fetchers into a module.

/// Makes a module of one or more [`Fetcher`](crate::Fetcher)s: `export!(Release, Package);`, once, at the
/// top of a crate whose type is `cdylib`.
///
/// The module's version is that of the crate in which the macro stands.
#[macro_export]
macro_rules! export {
    ($($fetcher:ty),+ $(,)?) => {
        const _: () = {
            struct Module;

            impl $crate::__private::bindings::Guest for Module {
                fn describe() -> ::std::string::String {
                    $crate::__private::ModuleDescription::new(::std::env!("CARGO_PKG_VERSION"))
                        $(.with::<$fetcher>())+
                        .to_json()
                }

                fn fetch(
                    fetcher: ::std::string::String,
                    params: ::std::string::String,
                ) -> ::std::result::Result<
                    $crate::__private::bindings::Plan,
                    $crate::__private::bindings::FetchError,
                > {
                    $(
                        if fetcher == <$fetcher as $crate::Fetcher>::NAME {
                            return $crate::__private::fetch::<$fetcher>(&params);
                        }
                    )+
                    $crate::__private::no_such_fetcher(&fetcher)
                }
            }

            $crate::__private::bindings::export_component!(
                Module with_types_in $crate::__private::bindings
            );
        };
    };
}

/// What the expansion of [`export!`](crate::export) uses. Not for authors; may change in any release.
#[doc(hidden)]
pub mod __private {
    pub use crate::bindings;
    pub use crate::fetcher::ModuleDescription;
    pub use wit_bindgen::rt;

    use crate::{FetchError, Fetcher, fetcher};

    type Fetched = Result<bindings::Plan, bindings::FetchError>;

    /// Runs one fetcher on parameters that the host has checked against its schema.
    pub fn fetch<F: Fetcher>(params: &str) -> Fetched {
        let plan = fetcher::parameters::<F>(params).and_then(F::fetch)?;
        Ok(plan.into_raw())
    }

    /// The host asks for names that `describe` gave, so this is a host that read another module's.
    pub fn no_such_fetcher(name: &str) -> Fetched {
        Err(FetchError::unsupported(format!("this module offers no fetcher `{name}`")).into())
    }
}
