#include <galley/io/graph.hpp>

#include <charconv>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace galley::inline v1::io::detail {

namespace {

/// An option's text as a value of this schema; none where it is no such.
std::optional<Value> scalar_of(const std::string& text, const Schema& schema) {
  std::optional<Value> value;
  const char* end = text.data() + text.size();
  if (schema.type == Schema::Type::integer) {
    std::int64_t number = 0;
    if (std::from_chars(text.data(), end, number).ptr == end) value = Value(number);
  } else if (schema.type == Schema::Type::number) {
    double number = 0;
    if (std::from_chars(text.data(), end, number).ptr == end) value = Value(number);
  } else if (schema.type == Schema::Type::text || schema.type == Schema::Type::choice ||
             schema.type == Schema::Type::duration) {
    value = Value(text);
  }
  if (value.has_value() && !check_scalar(*value, schema, Path()).has_value()) value.reset();
  return value;
}

/// Prints what descriptions say.
class Printer {
 public:
  explicit Printer(const Registry& registry) : registry_(registry.contents()) {}

  Value node(const NodeHeader& node) const {
    for (const auto& [name, servable] : registry_.servables) {
      if (servable.node.get() != &node) continue;
      Value use;
      use.set("use", Value(name));
      return use;
    }
    if (std::optional<Value> source = source_of(node)) return *std::move(source);
    const auto kind = registry_.kinds.find(node.kind);
    if (kind == registry_.kinds.end()) return opaque(node);
    Value printed;
    printed.set("kind", Value(std::string(node.kind)));
    add_children(node, kind->second.schema, printed);
    add_options(node, kind->second.schema, printed);
    return printed;
  }

 private:
  /// The document of a graph that was loaded, where it can stand inside another.
  static std::optional<Value> source_of(const NodeHeader& node) {
    GraphSource source;
    ControlRequest request(source);
    if (!node.table->control(node, request).has_value()) return std::nullopt;
    Result<Value> document = parse_json(source.json, {.max_bytes = source.json.size()});
    if (!document.has_value() || document->find("define") != nullptr) return std::nullopt;
    return *std::move(document);
  }

  Value opaque(const NodeHeader& node) const {
    Value printed;
    printed.set("kind", "opaque");
    printed.set("name", Value(node.name));
    if (const std::string kind(node.kind); kind != "opaque") printed.set("of_kind", Value(kind));
    Value::List children = children_of(node);
    if (!children.empty()) printed.set("children", Value(std::move(children)));
    return printed;
  }

  Value::List children_of(const NodeHeader& node) const {
    Value::List children;
    node.table->each_child(node,
                           [&](const NodeHeader& child) { children.push_back(this->node(child)); });
    return children;
  }

  /// Under the field that is meant: of one child, or of a list of them.
  void add_children(const NodeHeader& node, const Schema& schema, Value& printed) const {
    Value::List children = children_of(node);
    for (const Field& field : schema.fields) {
      const bool list = field.schema.type == Schema::Type::list &&
                        field.schema.element[0].type == Schema::Type::servable;
      if (list) printed.set(field.name, Value(std::exchange(children, {})));
      if (field.schema.type == Schema::Type::servable && !children.empty()) {
        printed.set(field.name, std::move(children.front()));
        children.erase(children.begin());
      }
    }
  }

  /// The options that the description gives as texts, under the names that they have.
  static void add_options(const NodeHeader& node, const Schema& schema, Value& printed) {
    const Description description = node.table->describe(node);
    const auto add = [&](const std::vector<Field>& fields, Value& into) {
      for (const Field& field : fields) {
        for (const auto& [name, text] : description.options) {
          if (name != field.name) continue;
          if (auto value = scalar_of(text, field.schema)) into.set(name, *std::move(value));
        }
      }
    };
    add(schema.fields, printed);
    for (const Field& field : schema.fields) {
      if (field.schema.type != Schema::Type::object) continue;
      Value inner;
      add(field.schema.fields, inner);
      if (inner.object() != nullptr) printed.set(field.name, std::move(inner));
    }
  }

  const Contents& registry_;
};

}  // namespace

std::string print(const NodeHeader& node, const Registry& registry) {
  GraphSource source;
  ControlRequest request(source);
  if (node.table->control(node, request).has_value()) return source.json;
  return to_json(Printer(registry).node(node));
}

}  // namespace galley::inline v1::io::detail
