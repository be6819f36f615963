# For the plugin nix-plugins: `extra-builtins-file = /PATH/TO/extra-builtins.nix`. Every evaluation then
# has
#
#   builtins.extraBuiltins.fetchhost { fetcher = "gitlab-artifact"; params = { … }; hash = "sha256-…"; }
#
# which fetches while it evaluates and returns a store path that can be used as any other. Which program
# runs, and what on its command line is a flag, is fixed here: expressions choose values only. With `inputs`, files
# of the store by their names, `fetcher = "signer"` looks up a signature: sign.nix.
{ exec, ... }:
{
  fetchhost =
    {
      fetcher,
      params,
      # Files of the store that the fetcher is given, by their names; built first.
      inputs ? { },
      # Not needed of a fetcher that signs, and where a grant has the first result remembered.
      hash ? null,
      name ? null,
      mode ? null,
      executable ? false,
    }:
    exec (
      [
        "nix-fetchhost"
        "exec"
      ]
      ++ (if hash == null then [ ] else [ "--hash=${hash}" ])
      ++ map (input: "--input=${input}=${inputs.${input}}") (builtins.attrNames inputs)
      ++ (if name == null then [ ] else [ "--name=${name}" ])
      ++ (if mode == null then [ ] else [ "--mode=${mode}" ])
      ++ (if executable then [ "--executable" ] else [ ])
      ++ [
        "--"
        fetcher
        (builtins.toJSON params)
      ]
    );
}
