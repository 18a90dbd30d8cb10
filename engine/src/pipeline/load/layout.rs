//! The files, shards and folds of the stages, as their kinds find them.

use std::path::Path;

use super::draft::Draft;
use crate::base::diag::{Diag, Diags, Span};
use crate::base::files::Project;
use crate::kind::shards::{FileRef, Shards};
use crate::kind::stage::Layout;
use crate::pipeline::outputs;
use crate::pipeline::resolve::{self, Targets};

/// For each stage, its files and the stage whose items it pairs with.
pub(super) struct Layouts {
    pub(super) layouts: Vec<Option<Layout>>,
    pub(super) pairs: Vec<Option<usize>>,
}

/// Asks every stage, in an order in which the items of a stage are known to the stages that pair with them.
pub(super) fn lay_out(
    drafts: &[Draft],
    targets: &Targets<'_>,
    reads: &[Vec<(usize, Span)>],
    order: impl Iterator<Item = usize>,
    project: &Project<'_>,
) -> (Layouts, Diags) {
    let mut diags = Vec::new();
    let mut layouts: Vec<Option<Layout>> = vec![None; drafts.len()];
    let mut pairs = vec![None; drafts.len()];
    for stage in order {
        pairs[stage] = paired(&drafts[stage], targets, &reads[stage], &mut diags);
        let with = pairs[stage].and_then(|with| layouts[with].as_ref());
        let layout = layout(&drafts[stage], project, with, &mut diags);
        layouts[stage] = layout;
    }
    sources_are_kept(drafts, &layouts, project, &mut diags);
    (Layouts { layouts, pairs }, diags)
}

/// Checks that no output would replace a file that a stage reads.
fn sources_are_kept(
    drafts: &[Draft],
    layouts: &[Option<Layout>],
    project: &Project<'_>,
    diags: &mut Diags,
) {
    if project.outputs.is_empty() {
        return;
    }
    for (draft, layout) in drafts.iter().zip(layouts) {
        let Some(layout) = layout else {
            continue;
        };
        let common = layout.common.iter().map(FileRef::from);
        let of_shards = layout.shards.iter().flat_map(|shard| shard.files());
        let files = common.chain(of_shards);
        let said = |path: &Path| (project.show(path), draft.place_of(path));
        outputs::against_sources(project.outputs, files, said, diags);
    }
}

/// Returns the stage whose items a stage pairs with, which is one that it reads.
fn paired(
    draft: &Draft,
    targets: &Targets<'_>,
    reads: &[(usize, Span)],
    diags: &mut Diags,
) -> Option<usize> {
    let body = draft.body.as_ref().filter(|body| body.clean)?;
    let name = body.kind.paired(&body.params)?;
    let span = body.params.span("each").unwrap_or(draft.span);
    let stage = targets.stage(&name, span, diags)?;
    if reads.iter().any(|(read, _)| *read == stage) {
        return Some(stage);
    }
    let message = format!("`{}` pairs with `{name}`, but does not read it", draft.name);
    diags.push(
        Diag::new("flow::pipeline::pair", message)
            .label(span, "not among its inputs")
            .help(resolve::inputs_with(
                draft.wanted.as_deref().unwrap_or_default(),
                [(name.as_ref(), format!("{name:?}"))],
            )),
    );
    None
}

/// Asks the kind of a stage without mistakes for its own checks, then for its files.
fn layout(
    draft: &Draft,
    project: &Project<'_>,
    paired: Option<&Layout>,
    diags: &mut Diags,
) -> Option<Layout> {
    let body = draft.body.as_ref().filter(|body| body.clean)?;
    let none = Shards::default();
    let shards = paired.map_or(&none, |layout| &layout.shards);
    let mut found = body.kind.check_paired(&body.params, &draft.ports(), shards);
    if let (Some(name), Some(layout)) = (body.kind.paired(&body.params), paired)
        && !layout.items
    {
        let diag = Diag::new(
            "flow::pipeline::pair",
            format!("stage `{name}` has no items to pair with"),
        )
        .help("give that stage items: each = { i = { range = [0, 10] } }");
        found.push(match body.params.span("each") {
            Some(span) => diag.label(span, "has no items"),
            None => diag,
        });
    }
    let layout = if found.is_empty() {
        body.kind
            .layout(&body.params, project, shards)
            .map_err(|errors| found.extend(errors))
            .ok()
            .map(|mut layout| {
                layout.shards.shrink_to_fit();
                layout
            })
    } else {
        None
    };
    diags.extend(found.into_iter().map(|diag| {
        if diag.labels.is_empty() {
            diag.label(draft.span, "in this stage")
        } else {
            diag
        }
    }));
    layout
}
