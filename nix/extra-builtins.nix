# For the plugin nix-plugins: `extra-builtins-file = /PATH/TO/extra-builtins.nix`. Every evaluation then
# has
#
#   builtins.extraBuiltins.fetchhost { fetcher = "gitlab-artifact"; params = { … }; hash = "sha256-…"; }
#
# which fetches while it evaluates and returns a store path that can be used as any other. Which program
# runs, and what on its command line is a flag, is fixed here: expressions choose values only.
{ exec, ... }:
{
  fetchhost =
    {
      fetcher,
      params,
      hash,
      name ? null,
      mode ? null,
      executable ? false,
    }:
    exec (
      [
        "nix-fetchhost"
        "exec"
        "--hash=${hash}"
      ]
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
