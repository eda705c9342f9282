//! What the operator promises when processes die and the API server fails, against a real API server and real controllers;
//! the node, and what gateways answer, are played.

mod autoscalers;
mod crowd;
mod killed;
mod rivals;
mod storms;
