# A NixOS machine on which alice's builds may use her credentials.
{ pkgs, ... }:
{
  # In a flake: inputs.fetchhost.nixosModules.default
  imports = [ ../../nix/nixos-module.nix ];

  services.nix-fetchhost = {
    enable = true;
    user = "alice";
    package = pkgs.nix-fetchhost;
  };

  # So that her gateway runs while she is not logged in.
  users.users.alice.linger = true;
}
