#include <galley/core/result.hpp>
#include <galley/io/registry.hpp>

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace galley::inline v1 {

namespace {

constexpr std::size_t longest_name = 128;

/// The members of a node that are not its kind's.
bool is_reserved(std::string_view member) {
  return member == "kind" || member == "use" || member == "define";
}

void fail(io::detail::Contents& contents, Status status, const std::string& what) {
  if (!contents.error.has_value()) contents.error = Error(status, "registry: " + what);
}

/// True where a thing may be called so.
bool names(io::detail::Contents& contents, const std::string& what, const std::string& name,
           bool taken) {
  if (name.empty() || name.size() > longest_name) {
    fail(contents, Status::invalid_argument,
         what + ": expected a name of 1 to " + std::to_string(longest_name) + " bytes, got " +
             std::to_string(name.size()));
    return false;
  }
  if (taken) fail(contents, Status::already_exists, what + " \"" + name + "\" is there already");
  return !taken;
}

bool has_reserved_member(io::detail::Contents& contents, const std::string& what,
                         const io::Schema& schema) {
  for (const io::Field& field : schema.fields) {
    if (!is_reserved(field.name)) continue;
    fail(contents, Status::invalid_argument,
         what + ": a member cannot be called \"" + field.name + "\"");
    return true;
  }
  return false;
}

void collect_children(const io::Schema& schema, std::vector<io::RowTypes>& into) {
  if (schema.type == io::Schema::Type::servable) into.push_back(schema.rows);
  for (const io::Schema& element : schema.element) collect_children(element, into);
  for (const io::Field& field : schema.fields) collect_children(field.schema, into);
}

}  // namespace

Registry& Registry::add_servable(std::string name, io::ErasedServable servable) {
  if (names(contents_, "servable", name, contents_.servables.count(name) != 0)) {
    if (servable.signature == nullptr) {
      servable.signature = servable.node->table->describe(*servable.node).signature;
    }
    contents_.servables.emplace(std::move(name), std::move(servable));
  }
  return *this;
}

Registry& Registry::add_thing(io::detail::ThingName name, std::shared_ptr<const void> value) {
  const bool taken = contents_.values.count(name) != 0 || contents_.makers.count(name) != 0;
  if (names(contents_, std::string(name.family.name), name.name, taken)) {
    contents_.values.emplace(std::move(name), std::move(value));
  }
  return *this;
}

Registry& Registry::add_maker(io::detail::ThingName name, io::detail::Maker maker) {
  const bool taken = contents_.values.count(name) != 0 || contents_.makers.count(name) != 0;
  const std::string what(name.family.name);
  if (names(contents_, what, name.name, taken) &&
      !has_reserved_member(contents_, what + " \"" + name.name + "\"", maker.schema)) {
    contents_.makers.emplace(std::move(name), std::move(maker));
  }
  return *this;
}

Registry& Registry::add_overload(std::string name, io::Schema schema,
                                 io::detail::Overload overload) {
  const std::string what = "kind \"" + name + "\"";
  collect_children(schema, overload.children);
  const auto at = contents_.kinds.find(name);
  const bool reserved = name == "pipeline" || name == "opaque";
  if (!names(contents_, "kind", name, reserved) || has_reserved_member(contents_, what, schema)) {
    return *this;
  }
  if (at == contents_.kinds.end()) {
    auto& kind = contents_.kinds[std::move(name)];
    kind.schema = std::move(schema);
    kind.overloads.push_back(std::move(overload));
    return *this;
  }
  for (const io::detail::Overload& other : at->second.overloads) {
    if (other.rows != overload.rows || other.children != overload.children) continue;
    fail(contents_, Status::already_exists,
         what + " is there already for " + to_string(other.rows));
    return *this;
  }
  if (!io::merge(at->second.schema, schema)) {
    fail(contents_, Status::invalid_argument,
         what + ": its members for " + to_string(overload.rows) + " are not those for " +
             to_string(at->second.overloads.front().rows));
    return *this;
  }
  at->second.overloads.push_back(std::move(overload));
  return *this;
}

bool Registry::add_support(const io::RowTypes& rows) {
  auto& all = contents_.supported;
  if (std::find(all.begin(), all.end(), rows) != all.end()) return false;
  all.push_back(rows);
  return true;
}

}  // namespace galley::inline v1
