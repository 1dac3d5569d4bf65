# Varnish in front of the origin, with its own rules: what it stores and for how
# long is what the origin's Cache-Control says.
vcl 4.1;

backend default {
    .host = "127.0.0.1";
    .port = "{{origin}}";
}
