#include <galley/core/signature.hpp>
#include <src/io/graph/builder.hpp>

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace galley::inline v1::io {

Result<ErasedServable> Reader::servable(const RowTypes& wanted) const {
  return builder_.servable(value_, path_, wanted);
}

Result<std::shared_ptr<const void>> Reader::named(const Family& family) const {
  return builder_.named(value_, path_, family);
}

bool Reader::names(const Family& family) const {
  return builder_.names(value_, family);
}

namespace detail {

namespace {

bool fits(const RowType& have, const RowType& wanted) {
  return wanted.id == nullptr || have == wanted;
}
bool fits(const RowTypes& have, const RowTypes& wanted) {
  return fits(have.in, wanted.in) && fits(have.out, wanted.out);
}

std::size_t count_slots(const Schema& schema) {
  std::size_t n = schema.type == Schema::Type::servable ? 1 : 0;
  for (const Schema& element : schema.element) n += count_slots(element);
  for (const Field& field : schema.fields) n += count_slots(field.schema);
  return n;
}

/// What all of them agree on.
RowTypes common(const std::vector<const Overload*>& overloads, std::size_t slot) {
  RowTypes types = overloads.front()->children[slot];
  for (const Overload* overload : overloads) {
    if (overload->children[slot].in != types.in) types.in = {};
    if (overload->children[slot].out != types.out) types.out = {};
  }
  return types;
}

std::string list_rows(const std::vector<RowTypes>& all) {
  std::vector<std::string> names;
  for (const RowTypes& types : all) {
    std::string name = to_string(types);
    if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
  }
  return list_names(names);
}

Error wrong_rows(const Path& path, const RowTypes& wanted, const std::string& got) {
  return path.error("expected rows " + to_string(wanted) + ", got " + got);
}

}  // namespace

Result<ErasedServable> GraphBuilder::servable(const Value& value, const Path& path,
                                              const RowTypes& wanted) {
  const auto at = built_.find(&value);
  if (at == built_.end()) return build_node(value, path, wanted);
  if (fits(at->second.rows, wanted)) return at->second;
  return wrong_rows(path, wanted, to_string(at->second.rows));
}

Result<std::shared_ptr<const void>> GraphBuilder::named(const Value& value, const Path& path,
                                                        const Family& family) {
  const Value* kind = value.find("kind");
  const std::string* name = kind != nullptr ? kind->text() : value.text();
  if (name != nullptr && kind == nullptr) {
    const auto at = registry_.values.find({family, *name});
    if (at != registry_.values.end()) return at->second;
  }
  if (name != nullptr && kind != nullptr) {
    const auto at = registry_.makers.find({family, *name});
    if (at != registry_.makers.end())
      return at->second.make(*at->second.fields, Reader(value, path, *this));
  }
  return path.wrong("the name of a thing that the registry has as " + std::string(family.name),
                    kind != nullptr ? *kind : value);
}

bool GraphBuilder::names(const Value& value, const Family& family) const {
  const Value* kind = value.find("kind");
  const std::string* name = kind != nullptr ? kind->text() : value.text();
  if (name == nullptr) return false;
  return kind == nullptr ? registry_.values.count({family, *name}) != 0
                         : registry_.makers.count({family, *name}) != 0;
}

Result<ErasedServable> GraphBuilder::build_node(const Value& node, const Path& path,
                                                const RowTypes& wanted) {
  const Value* used = node.find("use");
  const std::string* name = used != nullptr ? used->text() : node.text();
  Result<ErasedServable> made = name != nullptr
                                    ? use(*name, path, wanted)
                                    : build_kind(node, *node.find("kind")->text(), path, wanted);
  if (made.has_value()) built_.insert_or_assign(&node, *made);
  return made;
}

Result<ErasedServable> GraphBuilder::use(const std::string& name, const Path& path,
                                         const RowTypes& wanted) {
  const ErasedServable* found = nullptr;
  const Value* define = document_.find("define");
  const Value* definition = define == nullptr ? nullptr : define->find(name);
  if (definition == nullptr) {
    found = &registry_.servables.find(name)->second;
  } else if (const auto at = definitions_.find(name); at != definitions_.end()) {
    found = &at->second;
  } else {
    const Path root;
    const Path define_path(root, "define");
    GALLEY_TRY(ErasedServable made, build_node(*definition, Path(define_path, name), wanted));
    found = &definitions_.emplace(name, std::move(made)).first->second;
  }
  if (fits(found->rows, wanted)) return *found;
  return wrong_rows(path, wanted, "\"" + name + "\", " + to_string(found->rows));
}

Result<ErasedServable> GraphBuilder::build_kind(const Value& node, const std::string& name,
                                                const Path& path, const RowTypes& wanted) {
  const NodeKind& kind = registry_.kinds.find(name)->second;
  if (kind.overloads.empty()) return build_pipeline(node, path, wanted);
  Overloads left;
  std::vector<RowTypes> all;
  for (const Overload& overload : kind.overloads) {
    all.push_back(overload.rows);
    if (fits(overload.rows, wanted)) left.push_back(&overload);
  }
  if (left.empty()) {
    return wrong_rows(path, wanted,
                      "\"" + name + "\", which the registry has for " + list_rows(all));
  }
  std::size_t slot = 0;
  for (const Field& field : kind.schema.fields) {
    GALLEY_TRY(
        build_children(node.find(field.name), field.schema, Path(path, field.name), slot, left));
  }
  if (left.size() > 1) {
    all.clear();
    for (const Overload* overload : left) all.push_back(overload->rows);
    return path.error("expected a place that says which rows are meant, got one where \"" + name +
                      "\" may be any of " + list_rows(all));
  }
  GALLEY_TRY(ErasedServable made,
             left.front()->make(*left.front()->fields, Reader(node, path, *this)));
  GALLEY_TRY(finish(node, kind.schema, path, made));
  return made;
}

Result<void> GraphBuilder::build_children(const Value* value, const Schema& schema,
                                          const Path& path, std::size_t& slot, Overloads& left) {
  const std::size_t first = slot;
  if (value != nullptr && schema.type == Schema::Type::servable) {
    GALLEY_TRY(build_child(*value, path, slot, left));
  } else if (value != nullptr && schema.type == Schema::Type::list) {
    for (std::size_t i = 0; i < value->list()->size(); ++i) {
      slot = first;
      GALLEY_TRY(
          build_children(&(*value->list())[i], schema.element[0], Path(path, i), slot, left));
    }
  } else if (value != nullptr) {
    for (const Field& field : schema.fields) {
      GALLEY_TRY(build_children(value->find(field.name), field.schema, Path(path, field.name), slot,
                                left));
    }
  }
  slot = first + count_slots(schema);
  return {};
}

Result<ErasedServable> GraphBuilder::build_child(const Value& value, const Path& path,
                                                 std::size_t slot, Overloads& left) {
  GALLEY_TRY(ErasedServable child, build_node(value, path, common(left, slot)));
  std::vector<RowTypes> wanted;
  for (const Overload* overload : left) wanted.push_back(overload->children[slot]);
  std::erase_if(left, [&](const Overload* o) { return o->children[slot] != child.rows; });
  if (!left.empty()) return child;
  return path.error("expected rows of one of " + list_rows(wanted) + ", got " +
                    to_string(child.rows));
}

Result<void> GraphBuilder::finish(const Value& node, const Schema& schema, const Path& path,
                                  ErasedServable& made) const {
  if (made.node->error.has_value()) {
    return within(path.to_text(), within(made.node->name, *made.node->error));
  }
  if (schema.inputs_from.empty() && schema.outputs_from.empty()) {
    made.signature = made.node->table->describe(*made.node).signature;
    return {};
  }
  Signature signature;
  GALLEY_TRY(signature.inputs, specs_of(node, schema.inputs_from, path, &Signature::inputs));
  GALLEY_TRY(signature.outputs, specs_of(node, schema.outputs_from, path, &Signature::outputs));
  if (signature == Signature()) return {};
  made.signature = std::make_shared<const Signature>(std::move(signature));
  return {};
}

/// What the children of a field take or give, who must be alike in it.
Result<std::vector<TensorSpec>> GraphBuilder::specs_of(
    const Value& node, const std::string& field, const Path& path,
    std::vector<TensorSpec> Signature::*side) const {
  const Value* value = field.empty() ? nullptr : node.find(field);
  std::vector<const ErasedServable*> children;
  if (value != nullptr) collect(*value, children);
  std::vector<TensorSpec> first;
  for (const ErasedServable* child : children) {
    if (child->signature == nullptr || ((*child->signature).*side).empty()) continue;
    const std::vector<TensorSpec>& here = (*child->signature).*side;
    if (first.empty()) first = here;
    const Result<void> alike = compatible(first, here);
    if (!alike.has_value()) return within(Path(path, field).to_text(), alike.error());
  }
  return first;
}

void GraphBuilder::collect(const Value& value, std::vector<const ErasedServable*>& into) const {
  if (const auto at = built_.find(&value); at != built_.end()) return into.push_back(&at->second);
  if (value.list() != nullptr) {
    for (const Value& item : *value.list()) collect(item, into);
  } else if (value.object() != nullptr) {
    for (const Value::Member& member : *value.object()) collect(member.value, into);
  }
}

Result<ErasedServable> GraphBuilder::build_pipeline(const Value& node, const Path& path,
                                                    const RowTypes& wanted) {
  const Value::List& values = *node.find("stages")->list();
  const Path stages_path(path, "stages");
  std::vector<ErasedServable> stages;
  RowTypes next{.in = wanted.in, .out = {}};
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (i + 1 == values.size()) next.out = wanted.out;
    const Path here(stages_path, i);
    GALLEY_TRY(ErasedServable stage, build_node(values[i], here, next));
    const Signature* before = stages.empty() ? nullptr : stages.back().signature.get();
    if (before != nullptr && stage.signature != nullptr && !before->outputs.empty() &&
        !stage.signature->inputs.empty()) {
      const Result<void> fit = compatible(before->outputs, stage.signature->inputs);
      if (!fit.has_value()) return within(here.to_text(), fit.error());
    }
    next.in = stage.rows.out;
    stages.push_back(std::move(stage));
  }
  return join(stages, path);
}

/// The stages as one servable, bracketed from whichever end the registry has joints for.
Result<ErasedServable> GraphBuilder::join(const std::vector<ErasedServable>& stages,
                                          const Path& path) const {
  std::optional<Error> missing;
  const auto joined = [&](const ErasedServable& a,
                          const ErasedServable& b) -> std::optional<ErasedServable> {
    if (const Joint* found = joint(a.rows.in, a.rows.out, b.rows.out)) return (*found)(a, b);
    if (!missing.has_value()) {
      const std::string in = to_string(a.rows.in), mid = to_string(a.rows.out),
                        out = to_string(b.rows.out);
      missing = Error(Status::failed_precondition,
                      path.to_text() + ": the registry has no joint from " + in + " by way of " +
                          mid + " to " + out + ": registry.joints<" + in + ", " + out + ", " + mid +
                          ">() adds it");
    }
    return std::nullopt;
  };
  std::optional<ErasedServable> all = stages.front();
  for (std::size_t i = 1; i < stages.size() && all.has_value(); ++i) all = joined(*all, stages[i]);
  if (!all.has_value()) {
    all = stages.back();
    for (std::size_t i = stages.size() - 1; i > 0 && all.has_value(); --i) {
      all = joined(stages[i - 1], *all);
    }
  }
  if (!all.has_value()) return *std::move(missing);
  Signature signature;
  if (stages.front().signature != nullptr) signature.inputs = stages.front().signature->inputs;
  if (stages.back().signature != nullptr) signature.outputs = stages.back().signature->outputs;
  if (signature != Signature()) {
    all->signature = std::make_shared<const Signature>(std::move(signature));
  }
  return *std::move(all);
}

const Joint* GraphBuilder::joint(const RowType& in, const RowType& mid, const RowType& out) const {
  const auto at = registry_.joints.find({in, mid, out});
  return at == registry_.joints.end() ? nullptr : &at->second;
}

}  // namespace detail

}  // namespace galley::inline v1::io
