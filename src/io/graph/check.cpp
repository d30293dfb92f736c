#include <src/io/graph/check.hpp>

#include <algorithm>
#include <utility>
#include <vector>

namespace galley::inline v1::io::detail {

namespace {

constexpr std::size_t longest_name = 128;

template <class Map>
std::vector<std::string> keys(const Map& map) {
  std::vector<std::string> all;
  all.reserve(map.size());
  for (const auto& [name, value] : map) all.push_back(name);
  return all;
}

std::vector<std::string> member_names(const Schema& schema) {
  std::vector<std::string> all;
  all.reserve(schema.fields.size());
  for (const Field& field : schema.fields) all.push_back(field.name);
  return all;
}

/// Of all families that a field may be of.
template <class Things>
std::vector<std::string> names_of(const Things& things, const Schema& schema) {
  std::vector<std::string> all;
  for (const auto& [thing, value] : things) {
    const auto& families = schema.families;
    if (std::find(families.begin(), families.end(), thing.family) == families.end()) continue;
    if (std::find(all.begin(), all.end(), thing.name) == all.end()) all.push_back(thing.name);
  }
  std::sort(all.begin(), all.end());
  return all;
}

const Field* find_field(const Schema& schema, std::string_view name) {
  for (const Field& field : schema.fields) {
    if (field.name == name) return &field;
  }
  return nullptr;
}

Error unknown(const Path& path, std::string_view wanted, const Value& got,
              const std::vector<std::string>& there) {
  return path.error("expected " + std::string(wanted) + ", got " + summary(got) +
                    "; there are: " + list_names(there));
}

}  // namespace

const Maker* find_maker(const Contents& registry, const Schema& schema, std::string_view name) {
  for (const Family& family : schema.families) {
    const auto at = registry.makers.find({family, std::string(name)});
    if (at != registry.makers.end()) return &at->second;
  }
  return nullptr;
}

Result<void> DocumentCheck::run(const Value& document) {
  const Path root;
  if (document.object() == nullptr)
    return root.wrong("an object, the graph's outermost node", document);
  const Path define_path(root, "define");
  if (const Value* define = document.find("define")) {
    GALLEY_TRY(note_definitions(*define, define_path));
    for (const auto& member : *define->object()) GALLEY_TRY(check_definition(member.name, 1));
  }
  GALLEY_TRY(check_node(document, root, 1, {"define", "$schema"}));
  return {};
}

Result<void> DocumentCheck::note_definitions(const Value& define, const Path& path) {
  if (define.object() == nullptr) return path.wrong("an object, of names and nodes", define);
  for (const Value::Member& member : *define.object()) {
    const Path here(path, member.name);
    if (member.name.empty() || member.name.size() > longest_name) {
      return here.error("expected a name of 1 to " + std::to_string(longest_name) + " bytes, got " +
                        std::to_string(member.name.size()));
    }
    if (registry_.servables.count(member.name) != 0) {
      return here.error("expected a name that no servable of the registry has, got " +
                        summary(Value(member.name)));
    }
    definitions_[member.name].value = &member.value;
  }
  return {};
}

Result<Extent> DocumentCheck::check_definition(const std::string& name, std::size_t depth) {
  Definition& definition = definitions_.find(name)->second;
  if (definition.extent.has_value()) return *definition.extent;
  const Path root;
  const Path define(root, "define");
  const Path path(define, name);
  if (definition.entered) return path.error("expected a node that does not use itself");
  definition.entered = true;
  GALLEY_TRY(definition.extent, check_node(*definition.value, path, depth, {}));
  return *definition.extent;
}

Result<Extent> DocumentCheck::check_node(const Value& node, const Path& path, std::size_t depth,
                                         Names also) {
  if (node.text() != nullptr) return check_use(node, path, depth);
  const Value* use = node.find("use");
  const Value* kind = node.find("kind");
  if (node.object() == nullptr || (use == nullptr && kind == nullptr)) {
    return path.wrong(Schema(Schema::Type::servable).expected(), node);
  }
  if (kind != nullptr) return check_kind(node, path, depth, also);
  for (const Value::Member& member : *node.object()) {
    if (member.name == "use" || std::find(also.begin(), also.end(), member.name) != also.end()) {
      continue;
    }
    return Path(path, member.name).error("expected no other member beside \"use\"");
  }
  return check_use(*use, Path(path, "use"), depth);
}

Result<Extent> DocumentCheck::check_use(const Value& name, const Path& path, std::size_t depth) {
  if (name.text() == nullptr) return path.wrong("the name of a servable", name);
  if (const auto at = definitions_.find(*name.text()); at != definitions_.end()) {
    if (depth >= max_depth) return too_deep(path);
    GALLEY_TRY(Extent extent, check_definition(at->first, depth + 1));
    if (depth + extent.depth > max_depth) return too_deep(path);
    ++extent.depth;
    return extent;
  }
  if (registry_.servables.count(*name.text()) != 0) return Extent{1, 1};
  std::vector<std::string> there = keys(definitions_);
  for (const auto& [other, servable] : registry_.servables) there.push_back(other);
  return unknown(path, "the name of a servable", name, there);
}

Result<Extent> DocumentCheck::check_kind(const Value& node, const Path& path, std::size_t depth,
                                         Names also) {
  const Value& kind = *node.find("kind");
  const Path kind_path(path, "kind");
  if (kind.text() == nullptr) return kind_path.wrong("the name of a kind of node", kind);
  if (*kind.text() == "opaque") {
    const Value* name = node.find("name");
    return path.error("expected a node, got one that only the code of the program can say" +
                      (name == nullptr ? std::string() : ", " + summary(*name)) +
                      ": put it into the registry and name it");
  }
  const auto at = registry_.kinds.find(*kind.text());
  if (at == registry_.kinds.end()) {
    return unknown(kind_path, "the name of a kind of node", kind, keys(registry_.kinds));
  }
  if (depth > max_depth) return too_deep(path);
  const Schema& schema = at->second.schema;
  GALLEY_TRY(const Extent below,
             also.size() == 0
                 ? check_fields(node, schema, path, depth, {"kind"})
                 : check_fields(node, schema, path, depth, {"kind", "define", "$schema"}));
  return sum({1, below.depth + 1}, {below.nodes, 0}, path);
}

Result<Extent> DocumentCheck::check_fields(const Value& object, const Schema& schema,
                                           const Path& path, std::size_t depth, Names also) {
  for (const Value::Member& member : *object.object()) {
    const bool known = find_field(schema, member.name) != nullptr ||
                       std::find(also.begin(), also.end(), member.name) != also.end();
    if (known) continue;
    return Path(path, member.name)
        .error("no such member; there are: " + list_names(member_names(schema)));
  }
  Extent all;
  for (const Field& field : schema.fields) {
    const Value* value = object.find(field.name);
    if (value == nullptr && field.required) {
      return path.error("expected a member \"" + field.name + "\", " + field.schema.expected() +
                        ", got none");
    }
    if (value == nullptr) continue;
    GALLEY_TRY(const Extent here, check_value(*value, field.schema, Path(path, field.name), depth));
    GALLEY_TRY(all, sum(all, here, path));
  }
  return all;
}

Result<Extent> DocumentCheck::check_value(const Value& value, const Schema& schema,
                                          const Path& path, std::size_t depth) {
  switch (schema.type) {
    case Schema::Type::list:
      return check_list(value, schema, path, depth);
    case Schema::Type::object:
      if (value.object() == nullptr) return path.wrong(schema.expected(), value);
      return check_fields(value, schema, path, depth, {});
    case Schema::Type::servable:
      return check_node(value, path, depth + 1, {});
    case Schema::Type::named:
      return check_named(value, schema, path, depth);
    default:
      GALLEY_TRY(check_scalar(value, schema, path));
      return Extent();
  }
}

Result<Extent> DocumentCheck::check_list(const Value& value, const Schema& schema, const Path& path,
                                         std::size_t depth) {
  const Value::List* items = value.list();
  if (items == nullptr) return path.wrong(schema.expected(), value);
  if (items->size() < schema.min_items || items->size() > schema.max_items) {
    return path.error("expected " + schema.expected() + ", got " + std::to_string(items->size()));
  }
  Extent all;
  for (std::size_t i = 0; i < items->size(); ++i) {
    GALLEY_TRY(const Extent here,
               check_value((*items)[i], schema.element[0], Path(path, i), depth));
    GALLEY_TRY(all, sum(all, here, path));
  }
  return all;
}

Result<Extent> DocumentCheck::check_named(const Value& value, const Schema& schema,
                                          const Path& path, std::size_t depth) {
  const std::string what = schema.expected();
  const std::vector<std::string> values = names_of(registry_.values, schema);
  const std::vector<std::string> kinds = names_of(registry_.makers, schema);
  if (value.text() != nullptr) {
    if (std::binary_search(values.begin(), values.end(), *value.text())) return Extent();
    std::vector<std::string> there = values;
    for (const std::string& kind : kinds) there.push_back("{\"kind\": \"" + kind + "\"}");
    return unknown(path, "the name of " + what, value, there);
  }
  if (value.object() == nullptr || kinds.empty()) {
    return path.wrong(kinds.empty() ? "the name of " + what
                                    : "the name of " + what + " or an object {\"kind\": ...}",
                      value);
  }
  const Value* kind = value.find("kind");
  if (kind == nullptr) return path.error("expected a member \"kind\", of " + what + ", got none");
  const Maker* maker =
      kind->text() == nullptr ? nullptr : find_maker(registry_, schema, *kind->text());
  if (maker == nullptr) {
    return unknown(Path(path, "kind"), "a kind of " + what, *kind, kinds);
  }
  return check_fields(value, maker->schema, path, depth, {"kind"});
}

Error DocumentCheck::too_deep(const Path& path) {
  return path.error("expected a graph at most " + std::to_string(max_depth) +
                    " nodes deep with definitions in their places, got a deeper one");
}

Result<Extent> DocumentCheck::sum(const Extent& a, const Extent& b, const Path& path) const {
  const Extent all{a.nodes + b.nodes, std::max(a.depth, b.depth)};
  if (all.nodes <= max_nodes_) return all;
  return path.error("expected at most " + std::to_string(max_nodes_) +
                    " nodes with definitions in their places, got more");
}

}  // namespace galley::inline v1::io::detail
