//! What must come of each danger. A danger without an outcome does not compile.

use super::list::{Allocation, Answers, Callees, Danger, Description, Endless, Logs, Memory, Sandbox, Sql, Traps};

/// What comes of a danger.
#[derive(Clone, Copy, Debug)]
pub(super) enum Outcome {
    /// Its deploy is refused: the kind of the problem and a part of the reason.
    Refused(&'static str, &'static str),
    /// 502: it broke its contract.
    Fault,
    /// 504: it did not end.
    Deadline,
    /// 502 or 504: a limit ends it, or the deadline, whichever comes first.
    CutOff,
    /// 200 and one of these words: the host gave it an answer that it can deal with, or nothing at all.
    Says(&'static [&'static str]),
}

impl Outcome {
    /// Says whether the table of the docs tells it so.
    pub(super) fn is_told_by(self, text: &str) -> bool {
        let (outcome, _) = text.split_once("; ").unwrap_or((text, ""));
        match self {
            Self::Refused(kind, _) => outcome.starts_with(&format!("refused, `{kind}`")),
            Self::Fault => outcome == "502",
            Self::Deadline => outcome == "504",
            Self::CutOff => outcome.starts_with("502 or 504"),
            Self::Says(words) => words.iter().all(|word| outcome.contains(told(word))),
        }
    }
}

/// Returns what the table has for a word of a guest.
fn told(word: &'static str) -> &'static str {
    match word {
        "written" => "200",
        "nothing" => "finds nothing",
        DEPTH => "the ninth call gets `unavailable`",
        OPEN_TRANSACTIONS => "four are open",
        word => word,
    }
}

/// Depth to which typed calls nest, as `runtime.call-depth` is by default.
const DEPTH: &str = "8";

/// Transactions that one invocation may have open.
const OPEN_TRANSACTIONS: &str = "4";

/// What comes of statements without end, and of typed calls without end.
const COUNTED: Outcome = Outcome::CutOff;

/// What comes of an operation that a guest has described and does not know.
const UNKNOWN_OPERATION: Outcome = Outcome::Fault;

/// Returns what must come of a danger.
pub(super) fn expected(danger: Danger) -> Outcome {
    match danger {
        Danger::Description(danger) => description(danger),
        Danger::Endless(danger) => endless(danger),
        Danger::Allocation(danger) => allocation(danger),
        Danger::Memory(danger) => memory(danger),
        Danger::Traps(danger) => traps(danger),
        Danger::Answers(danger) => answers(danger),
        Danger::Logs(danger) => logs(danger),
        Danger::Sandbox(danger) => sandbox(danger),
        Danger::Sql(danger) => statements(danger),
        Danger::Callees(danger) => calls(danger),
    }
}

fn description(danger: Description) -> Outcome {
    use Description as D;
    let invalid = |part| Outcome::Refused("invalid-component", part);
    match danger {
        D::DescribeLoops => invalid("did not finish before its deadline"),
        D::DescribeTraps => invalid("the guest trapped"),
        D::DescribeHoardsMemory => invalid("wanted more memory than its limit"),
        D::DescribesMillionRoutes | D::DescribesHundredMegabytes | D::DescribesAliasedTexts => {
            invalid("its description")
        }
        D::DescribesBadVersion => invalid("version \"one\""),
        D::DescribesOneOperationTwice => invalid("operation \"strike\""),
        D::DescribesBadPath => invalid("path \"/dangers/../\""),
        D::DescribesRouteOfAnother => Outcome::Refused("route-collision", "/api/products/"),
        D::DescribesCredentials => invalid("credentials never cross"),
        D::MigratesBadly => Outcome::Refused("migration-failed", "0002_again"),
        D::MigrationCommits => Outcome::Refused("migration-failed", "0002_end"),
        D::ImportsUngranted => Outcome::Refused("import-denied", "passwords"),
        D::ImportsUnknown => invalid("which this host does not offer"),
    }
}

fn endless(danger: Endless) -> Outcome {
    match danger {
        Endless::LoopsInHandle
        | Endless::SleepsPastItsDeadline
        | Endless::PollsWithoutEnd
        | Endless::ReadsRandomWithoutEnd
        | Endless::HashesPasswordsWithoutEnd => Outcome::Deadline,
    }
}

fn allocation(danger: Allocation) -> Outcome {
    match danger {
        Allocation::LoopsAtArguments => Outcome::Deadline,
        Allocation::TrapsAtArguments | Allocation::PlacesArgumentsOutside => Outcome::Fault,
    }
}

fn memory(danger: Memory) -> Outcome {
    match danger {
        Memory::HoardsBySteps | Memory::HoardsAtOnce | Memory::GrowsItsTable | Memory::RecursesDeeply => Outcome::Fault,
    }
}

fn traps(danger: Traps) -> Outcome {
    match danger {
        Traps::Panics
        | Traps::PanicsWithHugeMessage
        | Traps::PanicsWhilePanicking
        | Traps::Aborts
        | Traps::RunsIntoUnreachable
        | Traps::ReadsOutOfBounds
        | Traps::DividesByZero
        | Traps::Exits
        | Traps::ExitsAsIfDone => Outcome::Fault,
    }
}

fn answers(danger: Answers) -> Outcome {
    match danger {
        Answers::HugeBody
        | Answers::ThousandHeaders
        | Answers::AliasedHeaders
        | Answers::SplitHeader
        | Answers::ForgedHeader
        | Answers::HeaderNotText
        | Answers::BodyOutOfBounds
        | Answers::StatusZero
        | Answers::StatusTooSmall
        | Answers::StatusSwitchesProtocols
        | Answers::StatusTooLarge
        | Answers::BodyWithoutContent => Outcome::Fault,
        Answers::UnknownOperation => UNKNOWN_OPERATION,
    }
}

fn logs(danger: Logs) -> Outcome {
    match danger {
        Logs::MillionLogLines
        | Logs::HugeLogMessage
        | Logs::ManyLogFields
        | Logs::FloodsStdout
        | Logs::EndlessStdoutLine => Outcome::Says(&["written"]),
    }
}

fn sandbox(danger: Sandbox) -> Outcome {
    match danger {
        Sandbox::ConnectsOut
        | Sandbox::SendsDatagrams
        | Sandbox::Listens
        | Sandbox::ResolvesNames
        | Sandbox::ReadsFiles
        | Sandbox::ListsFolders
        | Sandbox::WritesFiles => Outcome::Says(&["denied"]),
        Sandbox::ReadsTheEnvironment | Sandbox::ReadsStdin => Outcome::Says(&["nothing"]),
    }
}

fn statements(danger: Sql) -> Outcome {
    match danger {
        Sql::ResultTooLarge | Sql::CellTooLarge | Sql::StatementTooLong => Outcome::Says(&["too-large"]),
        Sql::TooManyParameters => Outcome::Says(&["invalid", "too-large"]),
        Sql::ParameterZero => Outcome::Says(&["invalid"]),
        Sql::TenMillionStatements => COUNTED,
        Sql::EndlessStatement | Sql::TransactionThenLoop | Sql::WaitsForItself => Outcome::Deadline,
        Sql::ThousandTransactions => Outcome::Says(&[OPEN_TRANSACTIONS]),
        Sql::TransactionThenTrap | Sql::UsesAfterCommit | Sql::DropsTwice => Outcome::Fault,
    }
}

fn calls(danger: Callees) -> Outcome {
    match danger {
        Callees::CallsPeersWithoutEnd => COUNTED,
        Callees::CalleeLoops => Outcome::Deadline,
        Callees::CalleeTraps | Callees::CalleeOverflowsItsStack => Outcome::Says(&["unavailable"]),
        Callees::RecursesThroughPeers => Outcome::Says(&[DEPTH]),
    }
}
