{
  description = "Fetch what lies behind authentication into Nix, without giving the token to Nix";

  outputs = _: {
    # What nix/fetchhost.nix has, for a gateway on the usual port.
    lib = import ./nix/fetchhost.nix { } // {
      # The same for another: `withGateway { port = 8460; owner = "…"; }`.
      withGateway = import ./nix/fetchhost.nix;
      # Without the gateway, by builtins.exec.
      exec = import ./nix/exec.nix { };
    };

    nixosModules.default.imports = [ ./nix/nixos-module.nix ];
  };
}
