//! The identity provider on the command line and in the environment. Absent: its protocol (`oidc/`).

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;

use crate::oidc::{GroupRole, Oidc, OidcConfig};
use crate::tls::{ClientTls, ClientTlsFiles};

/// The identity provider.
#[derive(Debug, Clone, Args)]
// The prefix is that of the flags.
#[allow(clippy::struct_field_names)]
pub struct OidcArgs {
    /// Address of an `OpenID` Connect provider through which people may log in, as in the iss of its tokens
    #[arg(long, env = "SHIFTWORK_OIDC_ISSUER", requires = "oidc_client_id", value_name = "URL")]
    oidc_issuer: Option<String>,
    /// Our client id there
    #[arg(long, env = "SHIFTWORK_OIDC_CLIENT_ID", requires = "oidc_issuer", value_name = "ID")]
    oidc_client_id: Option<String>,
    /// File that holds our client secret there (default: a public client)
    #[arg(long, env = "SHIFTWORK_OIDC_CLIENT_SECRET_FILE", value_name = "FILE")]
    oidc_client_secret_file: Option<PathBuf>,
    /// Address at which browsers reach this scheduler, without a path (default: --advertise, or what is
    /// served on)
    #[arg(long, env = "SHIFTWORK_OIDC_PUBLIC_URL", value_name = "URL")]
    oidc_public_url: Option<String>,
    /// Claim that names a person; sub where it is absent
    #[arg(long, env = "SHIFTWORK_OIDC_NAME_CLAIM", default_value = "email", value_name = "CLAIM")]
    oidc_name_claim: String,
    /// Claim that lists a person's groups
    #[arg(
        long,
        env = "SHIFTWORK_OIDC_GROUPS_CLAIM",
        default_value = "groups",
        value_name = "CLAIM"
    )]
    oidc_groups_claim: String,
    /// What a group may do: GROUP=ROLE, or GROUP=ROLE:PREFIX,PREFIX for apps whose names begin so; may be
    /// given several times, and who is in none of them is not let in
    #[arg(long, value_name = "GROUP=ROLE")]
    oidc_role: Vec<GroupRole>,
    /// Authorities to trust for the provider, PEM, instead of the system's
    #[arg(long, env = "SHIFTWORK_OIDC_CA_FILE", value_name = "FILE")]
    oidc_ca_file: Option<PathBuf>,
}

impl OidcArgs {
    /// The provider, if there is one. `public` is where browsers reach this scheduler unless it is said.
    ///
    /// # Errors
    /// Files that cannot be read; a provider that gives nobody a role.
    pub fn config(&self, public: &str) -> anyhow::Result<Option<Oidc>> {
        let (Some(issuer), Some(client_id)) = (&self.oidc_issuer, &self.oidc_client_id) else {
            return Ok(None);
        };
        anyhow::ensure!(
            !self.oidc_role.is_empty(),
            "--oidc-issuer lets nobody in without --oidc-role: say what its groups may do"
        );
        let secret = self.oidc_client_secret_file.as_ref().map(|file| {
            let text = std::fs::read_to_string(file);
            text.with_context(|| format!("cannot read the client secret {}", file.display()))
        });
        let public = self.oidc_public_url.as_deref().unwrap_or(public).trim_end_matches('/');
        let config = OidcConfig {
            issuer: issuer.clone(),
            client_id: client_id.clone(),
            client_secret: secret.transpose()?.map(|text| text.trim().to_owned()),
            redirect_url: format!("{public}/api/v1/session/oidc/callback"),
            name_claim: self.oidc_name_claim.clone(),
            groups_claim: self.oidc_groups_claim.clone(),
            roles: self.oidc_role.clone(),
        };
        let files = ClientTlsFiles { ca: self.oidc_ca_file.clone(), ..ClientTlsFiles::default() };
        Ok(Some(Oidc::new(config, &ClientTls::load(&files)?)?))
    }
}
