//! Gets, keeps, renews and uses the tokens of the anonymous visitors (and signed-in members) of a Wix Headless site.
//!
//! **A visitor is never lost by accident.** An error, a race, a crash, a restart, a failover or a second server instance never
//! turns a visitor into a new one. A new identity exists only because there was none, because the endpoint definitively
//! refused every token there was, or because the application asked for it; and each loss is reported, by an event and in the
//! result of the call that met it.
//!
#![cfg_attr(all(feature = "http", feature = "sqlite"), doc = "```no_run")]
#![cfg_attr(not(all(feature = "http", feature = "sqlite")), doc = "```text")]
//! # async fn shop() -> Result<(), wix_visitor::Error> {
//! let site = wix_visitor::connect("your-client-id", "sqlite:visitors.db").await?;
//! let visitor = site.visitor("default");
//!
//! // Mints, renews and retries as needed.
//! let reply = visitor.get("/ecom/v1/carts/current").send().await?;
//!
//! // Or bring your own HTTP client.
//! let authorization = visitor.authorization().await?;
//! let header = authorization.header();
//!
//! site.shutdown().await?;
//! # Ok(()) }
//! ```
//!
//! # Parts
//!
//! This crate re-exports the others, one feature each, and composes them: [`connect`] where two arguments are enough,
//! [`builder`] for all else.
//!
//! | feature | crate | what it brings |
//! | --- | --- | --- |
//! | always | `wix-visitor-core` | [`Visitors`], [`Visitor`], [`Tokens`], the [`TokenStore`] contract, [`Policy`], events |
//! | `http` (default) | `wix-visitor-http` | `Site`, `WixEndpoint`, `connect`, `builder` |
//! | `rustls` (default), `native-tls` | | TLS for `http` and `redis` |
//! | `memory` | `wix-visitor-memory` | `MemoryStore`; `memory:` |
//! | `file` | `wix-visitor-file` | `FileStore`; `file:DIR` |
//! | `sqlite` | `wix-visitor-sqlite` | `SqliteStore`; `sqlite:PATH` |
//! | `redis` | `wix-visitor-redis` | `RedisStore`; `redis://` and its kin |
//! | `web`, `axum` | `wix-visitor-web` | `web`: sessions in a web server, by tower; with an extractor for axum |
//! | `sealing` | | records encrypted by a ring of keys, in front of any store: `SealedStore`, `KeyRing` |
//! | `metrics` | | numbers for operators, through the `metrics` crate: install a recorder before you connect |
//!
//! # Calls
//!
//! What a call is made of is here too, so that no other crate is needed.
//!
#![cfg_attr(feature = "http", doc = "```no_run")]
#![cfg_attr(not(feature = "http"), doc = "```text")]
//! # async fn rename(visitor: wix_visitor::SiteVisitor) -> Result<(), wix_visitor::Error> {
//! use wix_visitor::{Method, StatusCode};
//!
//! let reply = visitor.request(Method::PATCH, "/members/v1/members/my").body(r#"{"member": {}}"#).send().await?;
//! if reply.status() == StatusCode::FORBIDDEN {
//!     println!("not a member");
//! }
//! # Ok(()) }
//! ```
//!
//! # Stores
//!
//! A store is named by a URL, or is a value of your own: any [`TokenStore`].
//!
//! | URL, read by [`StoreUrl`] | shared by | what survives |
//! | --- | --- | --- |
//! | `memory:` | tasks of one process | nothing beyond the process |
//! | `file:DIR` | processes of one machine | a crash of the process; power loss |
//! | `sqlite:PATH` | processes of one machine | a crash of the process; with `synchronous=full`, the default, power loss |
//! | `redis://[USER:PASSWORD@]HOST[:PORT][/DB]` | machines | a crash of the process; of Redis, what Redis is set up to keep |
//! | `rediss://…` | machines | the same, over TLS |
//! | `redis+unix:///SOCKET` | processes of one machine | the same, over a Unix socket |
//! | `redis+sentinel://HOST[:PORT],HOST…/SERVICE[/DB]` | machines | the same; a failover may lose the last writes, which those who made them put back |
//! | `redis+cluster://HOST[:PORT],HOST…` | machines | the same |
//!
//! A path is written in full, or relative to the working directory; two slashes before it are taken too, as in `file:///DIR`,
//! where no other machine follows them. `%XX` stands for the byte `XX`; in a password of Redis, write `@ / ? # & %` as
//! `%40 %2F %3F %23 %26 %25`.
//!
//! Options follow after a question mark, as in `sqlite:visitors.db?timeout_ms=1000&synchronous=normal`. One that is not known, is
//! given twice, is out of range or does not go with the rest is an error that says so.
//!
//! | option | of | what it says | without it |
//! | --- | --- | --- | --- |
//! | `timeout_ms` | all but `memory:` | each operation ends within so many milliseconds, and opening a file or a database within three times as many; it has to be below [`Policy::save`], 2000, after which the flow stops listening | 1500 |
//! | `synchronous` | `sqlite:` | `full`: each write waits for the disk; `normal`: power loss may take the last ones | `full` |
//! | `prefix` | Redis | what each key begins with | `wix-visitor:` |
//! | `db` | `redis+unix:` | the number of the database | 0 |
//! | `tls` | Redis, but no socket | `true`: over TLS, as `rediss:` is; to Sentinels too | `false` |
//! | `tls_ca` | Redis over TLS | a file of certificates to trust (PEM) | those of the platform |
//! | `sentinel_user`, `sentinel_password` | `redis+sentinel:` | who we are to the Sentinels | nobody |
//! | `wait_replicas` | Redis, but no Cluster | a write counts once so many replicas have it | 0 |
//! | `wait_ms` | where `wait_replicas` is given | how long they are waited for; below `timeout_ms` | half of `timeout_ms` |

#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "http")]
mod connect;
#[cfg(feature = "sealing")]
mod key_ring;
mod store_url;

#[cfg(feature = "http")]
pub use connect::{Builder, builder, connect};
#[cfg(feature = "sealing")]
pub use key_ring::{key_ring_from_environment, read_key_ring};
pub use store_url::{StoreUrl, open_store};
pub use wix_visitor_core::*;
#[cfg(feature = "file")]
pub use wix_visitor_file::{FileOptions, FileStore};
#[cfg(feature = "http")]
pub use wix_visitor_http::{
    ApiRequest, ApiResponse, Encoding, HeaderMap, HeaderName, HeaderValue, HttpOptions, Method, Probe, ProbeAnswer,
    Site, SiteBuilder, SiteVisitor, StatusCode, TokenInfo, WixEndpoint, WixEndpointBuilder,
};
#[cfg(feature = "memory")]
pub use wix_visitor_memory::MemoryStore;
#[cfg(feature = "redis")]
pub use wix_visitor_redis::{RedisOptions, RedisStore};
#[cfg(feature = "sqlite")]
pub use wix_visitor_sqlite::{SqliteOptions, SqliteStore, Synchronous};
/// Sessions in a web server: a browser is a visitor, by a cookie.
#[cfg(feature = "web")]
pub use wix_visitor_web as web;

#[cfg(all(doctest, feature = "http", feature = "sqlite", feature = "axum"))]
#[doc = include_str!("../../../docs/guide.md")]
struct Guide;

#[cfg(all(doctest, feature = "http", feature = "sealing"))]
#[doc = include_str!("../../../docs/operations.md")]
struct Operations;

#[cfg(all(doctest, feature = "http", feature = "sqlite", feature = "axum"))]
#[doc = include_str!("../../../README.md")]
struct Readme;
