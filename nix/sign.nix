# Signatures that the user made before, as inputs of builds.
#
#   sign = import ./sign.nix { inherit fetch; };
#   sign { src = ./app.tar.gz; key = "release"; format = "minisign"; }
{
  # `fetch` of fetchhost.nix or exec.nix, or the plugin's `builtins.extraBuiltins.fetchhost`.
  fetch,
}:
{
  # What was signed: a file of the store, such as a derivation's output or a path below it; or a file beside
  # the expression, which is copied to the store.
  src,
  # The name of the key in the user's configuration.
  key,
  # "minisign", "sshsig" or "raw".
  format,
  # The signature's hash, where it is known.
  hash ? null,
  # The signature's name in the store.
  name ? null,
  # What belongs to the format, as `nix-fetchhost run signer --help` explains it.
  comment ? null,
  namespace ? null,
  padding ? null,
}:
let
  optional = name: value: if value == null then { } else { ${name} = value; };
in
fetch {
  fetcher = "signer";
  params =
    {
      key-id = key;
      inherit format;
    }
    // optional "comment" comment
    // optional "namespace" namespace
    // optional "padding" padding;
  inputs.content = src;
  inherit hash name;
}
