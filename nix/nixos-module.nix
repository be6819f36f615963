# The gateway on NixOS, for one user: `services.nix-fetchhost = { enable = true; user = "alice"; package = …; }`.
#
# It runs as that user's own service, because credentials and grants are in that user's configuration.
{
  config,
  lib,
  ...
}:
let
  inherit (lib)
    concatStringsSep
    mkEnableOption
    mkForce
    mkIf
    mkOption
    optionals
    splitString
    types
    unique
    ;
  cfg = config.services.nix-fetchhost;
  noProxy = config.networking.proxy.noProxy;
in
{
  options.services.nix-fetchhost = {
    enable = mkEnableOption "the gateway of nix-fetchhost, which fetches for Nix with a user's credentials";

    package = mkOption {
      type = types.package;
      description = "The package with `bin/nix-fetchhost`.";
    };

    user = mkOption {
      type = types.str;
      example = "alice";
      description = "Whose gateway it is: the user whose configuration has the grants.";
    };

    port = mkOption {
      type = types.port;
      default = 8459;
      description = "Where it listens on the loopback interface. Expressions must name the same.";
    };

    substituter = mkOption {
      type = types.bool;
      default = false;
      description = "Whether Nix asks it for paths too, before it asks other binary caches.";
    };
  };

  config = mkIf cfg.enable {
    environment.systemPackages = [ cfg.package ];

    nix.settings.extra-substituters = mkIf cfg.substituter [
      "http://127.0.0.1:${toString cfg.port}"
    ];

    # The daemon sends requests for the gateway to its http proxy unless it is told not to.
    systemd.services.nix-daemon.environment.no_proxy = mkForce (
      concatStringsSep "," (
        unique (
          optionals (noProxy != null) (splitString "," noProxy)
          ++ [
            "127.0.0.1"
            "localhost"
          ]
        )
      )
    );

    systemd.user.sockets.nix-fetchhost = {
      description = "Gateway of nix-fetchhost";
      unitConfig.ConditionUser = cfg.user;
      wantedBy = [ "sockets.target" ];
      listenStreams = [ "127.0.0.1:${toString cfg.port}" ];
    };

    # The same as nix-fetchhost.service; a test compares. The address comes from the socket.
    systemd.user.services.nix-fetchhost = {
      description = "Gateway of nix-fetchhost";
      unitConfig.ConditionUser = cfg.user;
      requires = [ "nix-fetchhost.socket" ];
      after = [ "nix-fetchhost.socket" ];
      serviceConfig = {
        ExecStart = "${cfg.package}/bin/nix-fetchhost serve";
        Restart = "on-failure";
        UMask = "0077";
        LimitCORE = "0";
        NoNewPrivileges = "yes";
        LockPersonality = "yes";
        RestrictAddressFamilies = "AF_UNIX AF_INET AF_INET6 AF_NETLINK";
        RestrictNamespaces = "yes";
        RestrictRealtime = "yes";
        RestrictSUIDSGID = "yes";
        SystemCallArchitectures = "native";
      };
    };
  };
}
