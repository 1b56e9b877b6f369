//! Loading the project's files.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anabranch_shared::project::{Place, Project, ProjectError, Reference, ReferenceFormat};
use anabranch_shared::reference::ReferenceTable;
use anabranch_shared::view::ViewPlan;
use anabranch_stores::ReferenceFiles;
use anabranch_stores::reference::read_reference;

use crate::args::Global;

pub const PROJECT_FILE: &str = "anabranch.toml";

/// Views by name.
pub type Views = BTreeMap<String, Arc<ViewPlan>>;

/// A project whose files have all been read and understood.
#[derive(Clone, Debug)]
pub struct LoadedProject {
    pub dir: PathBuf,
    pub project: Project,
    pub views: Views,
}

impl LoadedProject {
    /// Reads `anabranch.toml`, the views and the references; options on the command line win over the
    /// file.
    pub fn load(global: &Global) -> Result<Self, ProjectError> {
        Self::load_with(global, &references)
    }

    /// The same with the errors of all views, not only the first; an error in `anabranch.toml` or in a reference keeps the
    /// views from being read.
    pub fn check(global: &Global) -> Result<Self, Vec<ProjectError>> {
        Self::load_all(global, &references)
    }

    /// The same for commands that go on with generations and make none from references: where one of
    /// these cannot be read, the rows stand in for it that were kept last. So a file that is being
    /// edited does not keep what answers from starting.
    pub fn load_to_go_on(global: &Global) -> Result<Self, ProjectError> {
        Self::load_with(global, &references_or_kept)
    }

    fn load_with(global: &Global, references: &ReadReferences) -> Result<Self, ProjectError> {
        // Whoever wants to work needs one error to begin with; `check` tells all.
        Self::load_all(global, references)
            .map_err(|errors| errors.into_iter().next().expect("no failure without an error"))
    }

    fn load_all(global: &Global, references: &ReadReferences) -> Result<Self, Vec<ProjectError>> {
        let mut loaded = Self::read(&global.project, references)?;
        loaded.project.brokers = global.brokers.clone().or(loaded.project.brokers);
        loaded.project.redis = global.redis.clone().or(loaded.project.redis);
        Ok(loaded)
    }

    fn read(dir: &Path, references: &ReadReferences) -> Result<Self, Vec<ProjectError>> {
        let (project, references) = Self::declared(dir, references).map_err(|error| vec![error])?;
        warn_of_unused(dir, &project);
        let (mut views, mut errors) = (Views::new(), Vec::new());
        for view in project.views.keys() {
            match read_view(&view_file(dir, view), &project, &references) {
                Ok(plan) => drop(views.insert(view.clone(), Arc::new(plan))),
                Err(error) => errors.push(error),
            }
        }
        if errors.is_empty() { Ok(Self { dir: dir.to_owned(), project, views }) } else { Err(errors) }
    }

    /// What the views are over.
    fn declared(dir: &Path, references: &ReadReferences) -> Result<(Project, References), ProjectError> {
        let file = dir.join(PROJECT_FILE);
        let name = file.display().to_string();
        let text = read(&file, "run `anabranch init DIR`, or name the project's folder with --project")?;
        let project = Project::parse(&name, &text)?;
        let references = references(dir, &project)?;
        Ok((project, references))
    }

    /// The views over their references as these are now; their SQL is the one that was loaded.
    pub fn views_now(&self) -> Result<Views, ProjectError> {
        if self.views.values().all(|plan| plan.references.is_empty()) {
            return Ok(self.views.clone());
        }
        let references = references(&self.dir, &self.project)?;
        let again = |(view, plan): (&String, &Arc<ViewPlan>)| {
            let (file, sql) = (view_file(&self.dir, view).display().to_string(), &plan.definition.sql);
            let plan = ViewPlan::parse_joined(&file, sql, &self.project.sources, &references)?;
            Ok((view.clone(), Arc::new(plan)))
        };
        self.views.iter().map(again).collect()
    }

    /// The folder of archive, batch views, catalog and embedded stores.
    pub fn root(&self) -> PathBuf {
        self.dir.join(&self.project.root)
    }
}

/// A view that nobody has declared computes nothing, which is easily overlooked.
fn warn_of_unused(dir: &Path, project: &Project) {
    for file in fs::read_dir(dir.join("views")).into_iter().flatten().flatten() {
        let path = file.path();
        let name = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        if path.extension().is_some_and(|extension| extension == "sql") && !project.views.contains_key(name) {
            let path = path.display();
            tracing::warn!("{path} is not used: add [views.{name}] to {PROJECT_FILE}, or remove the file");
        }
    }
}

fn read_view(file: &Path, project: &Project, references: &References) -> Result<ViewPlan, ProjectError> {
    let sql = read(file, "write the view's SELECT into this file, or remove the view from anabranch.toml")?;
    ViewPlan::parse_joined(&file.display().to_string(), &sql, &project.sources, references)
}

fn view_file(dir: &Path, view: &str) -> PathBuf {
    dir.join("views").join(format!("{view}.sql"))
}

type References = BTreeMap<String, Arc<ReferenceTable>>;
type ReadReferences = dyn Fn(&Path, &Project) -> Result<References, ProjectError>;

/// The references' rows as they are now.
fn references(dir: &Path, project: &Project) -> Result<References, ProjectError> {
    let table = |(name, reference): (&String, &Reference)| Ok((name.clone(), Arc::new(read_table(dir, reference)?)));
    project.references.iter().map(table).collect()
}

/// The same, with the rows that were kept last in the place of those that cannot be read.
fn references_or_kept(dir: &Path, project: &Project) -> Result<References, ProjectError> {
    let kept = |reference: &Reference, error: ProjectError| {
        let table = ReferenceFiles::new(&dir.join(&project.root)).newest(reference).ok_or(error.clone())?;
        tracing::warn!(
            "{error}\n  going on with the {} rows of '{}' that were kept last",
            table.pin().rows,
            reference.name
        );
        Ok(table)
    };
    let table = |(name, reference): (&String, &Reference)| {
        let table = read_table(dir, reference).or_else(|error| kept(reference, error))?;
        Ok((name.clone(), Arc::new(table)))
    };
    project.references.iter().map(table).collect()
}

fn read_table(dir: &Path, reference: &Reference) -> Result<ReferenceTable, ProjectError> {
    let path = dir.join(&reference.file);
    match reference.format {
        ReferenceFormat::Delta => read_delta(&path, reference),
        ReferenceFormat::Csv | ReferenceFormat::Parquet => read_reference(&path, reference),
    }
}

/// On a thread with a runtime of its own: projects are loaded inside and outside of others.
fn read_delta(folder: &Path, reference: &Reference) -> Result<ReferenceTable, ProjectError> {
    let refuse = |cause: String| {
        let help = "name the folder of a Delta table that has the declared columns";
        ProjectError::new(Place::start(&folder.display().to_string()), cause, help)
    };
    let read = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| error.to_string())?;
        runtime.block_on(anabranch_batch::read_reference(folder, reference)).map_err(|error| error.to_string())
    };
    let ended = std::thread::scope(|scope| scope.spawn(read).join());
    ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic)).map_err(refuse)
}

fn read(file: &Path, help: &str) -> Result<String, ProjectError> {
    let place = || Place::start(&file.display().to_string());
    fs::read_to_string(file).map_err(|error| ProjectError::new(place(), error.to_string(), help))
}
