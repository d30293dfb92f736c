// What a document is checked for before anything is built of it: members, names, bounds, size.
#pragma once

#include <galley/core/result.hpp>
#include <galley/io/registry.hpp>
#include <galley/io/schema.hpp>
#include <galley/io/value.hpp>

#include <cstddef>
#include <initializer_list>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace galley::inline v1::io::detail {

/// How large a part of a graph is, with its definitions put in their places.
struct Extent {
  std::size_t nodes = 0;
  std::size_t depth = 0;
};

/// Goes through a document once, also through definitions that nobody names.
///
/// Recursion is bounded: by the depth of the document and, through definitions, by `max_depth`.
class DocumentCheck {
 public:
  DocumentCheck(const Contents& registry, std::size_t max_nodes) noexcept
      : registry_(registry), max_nodes_(max_nodes) {}

  Result<void> run(const Value& document);

 private:
  static constexpr std::size_t max_depth = 64;
  using Names = std::initializer_list<std::string_view>;

  struct Definition {
    const Value* value = nullptr;
    bool entered = false;
    std::optional<Extent> extent = {};
  };

  Result<void> note_definitions(const Value& define, const Path& path);
  Result<Extent> check_definition(const std::string& name, std::size_t depth);
  Result<Extent> check_node(const Value& node, const Path& path, std::size_t depth, Names also);
  Result<Extent> check_use(const Value& name, const Path& path, std::size_t depth);
  Result<Extent> check_kind(const Value& node, const Path& path, std::size_t depth, Names also);
  Result<Extent> check_fields(const Value& object, const Schema& schema, const Path& path,
                              std::size_t depth, Names also);
  Result<Extent> check_value(const Value& value, const Schema& schema, const Path& path,
                             std::size_t depth);
  Result<Extent> check_list(const Value& value, const Schema& schema, const Path& path,
                            std::size_t depth);
  Result<Extent> check_named(const Value& value, const Schema& schema, const Path& path,
                             std::size_t depth);
  static Error too_deep(const Path& path);
  Result<Extent> sum(const Extent& a, const Extent& b, const Path& path) const;

  const Contents& registry_;
  const std::size_t max_nodes_;
  std::map<std::string, Definition, std::less<>> definitions_;
};

/// The kind of a policy that an object describes, for the first of these families that has it.
const Maker* find_maker(const Contents& registry, const Schema& schema, std::string_view name);

}  // namespace galley::inline v1::io::detail
