#[cfg(target_arch = "aarch64")]
use super::aarch64::{dotprod, i8mm, neon};
use super::scalar;
#[cfg(target_arch = "x86_64")]
use super::x86::{avx2, avx512, avxvnni};

/// An instruction set that this machine has: a value is the proof, so nothing has to be checked
/// where it is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isa {
    /// Plain Rust, for every machine.
    Scalar(scalar::Token),
    /// AVX2 with FMA and F16C.
    #[cfg(target_arch = "x86_64")]
    Avx2(avx2::Token),
    /// AVX2 with VNNI.
    #[cfg(target_arch = "x86_64")]
    AvxVnni(avxvnni::Token),
    /// AVX-512 with VNNI.
    #[cfg(target_arch = "x86_64")]
    Avx512(avx512::Token),
    /// What every 64-bit ARM has.
    #[cfg(target_arch = "aarch64")]
    Neon(neon::Token),
    /// NEON with products of bytes (FEAT_DotProd).
    #[cfg(target_arch = "aarch64")]
    Dotprod(dotprod::Token),
    /// NEON with products of matrices of bytes (FEAT_I8MM).
    #[cfg(target_arch = "aarch64")]
    I8mm(i8mm::Token),
}

/// Why a name is not an instruction set that can be used here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IsaError {
    /// No kernel table has that name.
    #[error("unknown instruction set {name:?}, known are {}", Isa::KNOWN.join(", "))]
    Unknown {
        /// The name asked for.
        name: String,
    },
    /// There is such a table, but this machine cannot run it.
    #[error("this machine has no {name}, use one of: {}", Isa::available_names())]
    Unavailable {
        /// The name asked for.
        name: String,
    },
}

impl Isa {
    /// Names of all kernel tables, best first, whether this machine has them or not.
    pub const KNOWN: [&'static str; 7] =
        ["avx512", "avxvnni", "avx2", "i8mm", "dotprod", "neon", "scalar"];

    /// What this machine has, best first.
    pub fn available() -> Vec<Self> {
        Self::KNOWN.into_iter().filter_map(Self::detect).collect()
    }

    /// The best this machine has.
    pub fn best() -> Self {
        Self::KNOWN.into_iter().find_map(Self::detect).unwrap_or(Self::Scalar(scalar::Token))
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Scalar(_) => "scalar",
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(_) => "avx2",
            #[cfg(target_arch = "x86_64")]
            Self::AvxVnni(_) => "avxvnni",
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(_) => "avx512",
            #[cfg(target_arch = "aarch64")]
            Self::Neon(_) => "neon",
            #[cfg(target_arch = "aarch64")]
            Self::Dotprod(_) => "dotprod",
            #[cfg(target_arch = "aarch64")]
            Self::I8mm(_) => "i8mm",
        }
    }

    /// The instruction set of that name.
    ///
    /// # Errors
    /// If there is none of that name, or this machine does not have it.
    pub fn from_name(name: &str) -> Result<Self, IsaError> {
        if !Self::KNOWN.contains(&name) {
            return Err(IsaError::Unknown { name: name.into() });
        }
        Self::detect(name).ok_or_else(|| IsaError::Unavailable { name: name.into() })
    }

    fn detect(name: &str) -> Option<Self> {
        match name {
            "scalar" => Some(Self::Scalar(scalar::Token)),
            #[cfg(target_arch = "x86_64")]
            "avx2" => avx2::Token::detect().map(Self::Avx2),
            #[cfg(target_arch = "x86_64")]
            "avxvnni" => avxvnni::Token::detect().map(Self::AvxVnni),
            #[cfg(target_arch = "x86_64")]
            "avx512" => avx512::Token::detect().map(Self::Avx512),
            #[cfg(target_arch = "aarch64")]
            "neon" => Some(Self::Neon(neon::Token::ASSUMED)),
            #[cfg(target_arch = "aarch64")]
            "dotprod" => dotprod::Token::detect().map(Self::Dotprod),
            #[cfg(target_arch = "aarch64")]
            "i8mm" => i8mm::Token::detect().map(Self::I8mm),
            _ => None,
        }
    }

    fn available_names() -> String {
        Self::available().into_iter().map(Self::name).collect::<Vec<_>>().join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back_to_what_they_name() {
        let available = Isa::available();
        assert_eq!(available.first(), Some(&Isa::best()));
        assert_eq!(available.last(), Some(&Isa::Scalar(scalar::Token)));
        for isa in available {
            assert_eq!(Isa::from_name(isa.name()), Ok(isa));
        }
    }

    #[test]
    fn unknown_is_not_unavailable() {
        let error = Isa::from_name("avx3").unwrap_err();
        insta::assert_snapshot!(error, @r#"unknown instruction set "avx3", known are avx512, avxvnni, avx2, i8mm, dotprod, neon, scalar"#);
        let unavailable = IsaError::Unavailable { name: "avx2".into() }.to_string();
        assert!(unavailable.starts_with("this machine has no avx2, use one of: "), "{unavailable}");
    }

    /// What `cargo xtask test-arm` asks of the emulator, so that no table goes untested.
    #[cfg(target_arch = "aarch64")]
    #[test]
    fn an_emulator_of_everything_has_every_table() {
        if std::env::var("QEMU_CPU").is_ok_and(|cpu| cpu == "max") {
            assert_eq!(Isa::available_names(), "i8mm, dotprod, neon, scalar");
        }
    }
}
