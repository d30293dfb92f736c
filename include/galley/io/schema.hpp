// Schema: what a JSON value must be. Errors, defaults and JSON Schema are made from it.
#pragma once

#include <galley/core/result.hpp>
#include <galley/core/type_name.hpp>
#include <galley/io/value.hpp>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace galley::inline v1 {
class AnyBatchPolicy;
class Clock;
class Executor;
class Tensor;
template <class T>
class Rows;
}  // namespace galley::inline v1

namespace galley::inline v1::io {

/// A row type at run time.
struct RowType {
  const void* id = nullptr;
  std::string_view name = {};
  friend bool operator==(const RowType& a, const RowType& b) noexcept { return a.id == b.id; }
};

/// What a servable takes and gives. Null ids stand for what is not known yet.
struct RowTypes {
  RowType in;
  RowType out;
  friend bool operator==(const RowTypes&, const RowTypes&) = default;
};

/// "Tensor -> Label", without galley's own namespace; "?" for what is not known.
std::string to_string(const RowType& type);
std::string to_string(const RowTypes& types);

template <class T>
RowType row_type() {
  return {type_id<T>(), type_name<T>()};
}
template <class In, class Out>
RowTypes row_types() {
  return {row_type<In>(), row_type<Out>()};
}

/// A kind of things that a document names: executors, batch policies, rules of one signature.
struct Family {
  const void* id = nullptr;
  std::string_view name = {};
  friend bool operator==(const Family& a, const Family& b) noexcept { return a.id == b.id; }
};

/// What errors and schemas call the things of type T. Specialise it for types of your own.
template <class T>
inline constexpr std::string_view family_name = type_name<T>();
template <>
inline constexpr std::string_view family_name<Executor> = "executor";
template <>
inline constexpr std::string_view family_name<Clock> = "clock";
template <>
inline constexpr std::string_view family_name<AnyBatchPolicy> = "batch policy";
template <>
inline constexpr std::string_view family_name<Tensor> = "tensor";
template <>
inline constexpr std::string_view family_name<Rows<Tensor>> = "batch of tensors";

template <class T>
Family family() {
  return {type_id<T>(), family_name<T>};
}

/// Bounds of a field: of numbers, of durations in nanoseconds, of their number where the field is a
/// list, of bytes where it is a text. Of a list, `min` and `max` are those of the elements.
struct Limits {
  std::optional<double> min = {};
  std::optional<double> max = {};
  std::size_t min_items = 0;
  std::size_t max_items = 1024;
};

struct Field;

/// What a JSON value must be.
struct Schema {
  enum class Type : std::uint8_t {
    boolean,
    integer,
    number,
    text,
    choice,    ///< One of `choices`.
    duration,  ///< "250us"
    list,      ///< Of `element[0]`s.
    object,    ///< With `fields` and no others.
    servable,  ///< A node of the graph.
    named,     ///< A thing of one of `families`: its name, or an object that says how to make one.
  };

  Schema();
  explicit Schema(Type what);
  Schema(const Schema&);
  Schema(Schema&&) noexcept;
  Schema& operator=(const Schema&);
  Schema& operator=(Schema&&) noexcept;
  ~Schema();

  Type type = Type::object;
  std::int64_t least = std::numeric_limits<std::int64_t>::min();  ///< Of integers and durations.
  std::int64_t most = std::numeric_limits<std::int64_t>::max();
  double low = -std::numeric_limits<double>::infinity();  ///< Of numbers.
  double high = std::numeric_limits<double>::infinity();
  std::size_t min_items = 0;
  std::size_t max_items = 1024;
  std::vector<std::string> choices;
  std::vector<Schema> element;  ///< One, where this is a list.
  std::vector<Field> fields;
  std::vector<Family> families;
  RowTypes rows;                          ///< What a servable must take and give, where known.
  std::string doc;                        ///< Of an object: what it is.
  std::string inputs_from, outputs_from;  ///< Of a node: see `Fields::inputs_from`.

  /// "an integer from 1 to 64", "one of drop, keep".
  std::string expected() const;
};

/// A member of an object.
struct Field {
  std::string name;
  Schema schema;
  bool required = false;
  /// What stands where nothing is said; none where JSON has no text for it.
  std::optional<Value> otherwise;
  std::string doc;
};

// Here, where a field is a complete type.
inline Schema::Schema() = default;
inline Schema::Schema(Type what) : type(what) {}
inline Schema::Schema(const Schema&) = default;
inline Schema::Schema(Schema&&) noexcept = default;
inline Schema& Schema::operator=(const Schema&) = default;
inline Schema& Schema::operator=(Schema&&) noexcept = default;
inline Schema::~Schema() = default;

/// Narrows the bounds of a schema, or of its elements.
void limit(Schema& schema, const Limits& limits);

/// Checks what needs no registry: a scalar, a list of them. Objects, servables and named things are
/// for who knows what there is.
Result<void> check_scalar(const Value& value, const Schema& schema, const Path& path);

/// Takes in a schema of the same structure for other row types; false where it is another
/// structure.
bool merge(Schema& into, const Schema& other);

/// "2ms" as nanoseconds; none where it is no duration or too long.
std::optional<std::int64_t> parse_duration(std::string_view text);
/// In the largest unit in which it is a whole number.
std::string duration_text(std::int64_t nanoseconds);

}  // namespace galley::inline v1::io
