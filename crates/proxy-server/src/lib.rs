//! The server side: listeners, workers, HTTP/1.1 and HTTP/2 edges, CONNECT tunnels, drain.
