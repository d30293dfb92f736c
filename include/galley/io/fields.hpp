// Fields: which members of a struct a document speaks of. One list, from which documents are read
// and checked, and schemas and the texts of errors are made.
#pragma once

#include <galley/core/time.hpp>
#include <galley/io/reader.hpp>
#include <galley/io/schema.hpp>

#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace galley::inline v1::io {

template <class T>
class Fields;

/// What a document says of a T. Specialise it for structs and enumerations that cannot say it
/// themselves: `static Fields<T> fields()`, or `static std::vector<std::pair<std::string, T>>
/// choices()`.
template <class T>
struct Described {};

/// How a T is read from JSON. Specialise it for types that are none of: bool, integers, floating
/// numbers, `std::string`, `Duration`, enumerations with `choices`, structs with `fields`,
/// `std::vector`, `std::optional` and `Required` of such, servables. All else is *named*: the host
/// puts it into the registry, or says there how it is made (`add_value`, `add_policy`).
template <class T>
struct Codec;

namespace detail {

/// How one member of a struct is read and written, whatever both are: calls take the struct and the
/// bytes of the pointer to the member. Without templates, since documents have many members.
struct MemberAccess {
  std::array<std::byte, sizeof(int MemberAccess::*)> member;
  Result<void> (*read)(void* into, const MemberAccess& self, const Reader& reader);
  std::optional<Value> (*write)(const void* from, const MemberAccess& self);
};

/// What `Fields` of any struct hold.
struct FieldList {
  Schema schema;
  std::vector<MemberAccess> members;  ///< Of the schema's fields, in their order.

  void add(Field field, const MemberAccess& access);
  Result<void> read(void* into, const Reader& reader) const;
  std::optional<Value> write(const void* from) const;
};

}  // namespace detail

/// The members of a T that a document may give, each with what it means. Where T is a node, its
/// members of type `Servable` are its children.
///
/// Example  Fields<SizeOrDelay>("Closes a batch when it is full or old.")
///              .add("max_rows", &SizeOrDelay::max_rows, "Rows of a full batch.", {.min = 1})
template <class T>
class Fields {
 public:
  explicit Fields(std::string doc) { list_->schema.doc = std::move(doc); }

  /// A member of T. What T{} holds is its default, unless it is `Required`.
  template <class M, class Base>
    requires(std::derived_from<T, Base>)
  Fields&& add(std::string name, M Base::*member, std::string doc, const Limits& limits = {}) &&;

  /// The member that was added last has to be there, whatever T{} holds.
  Fields&& required() && {
    list_->schema.fields.back().required = true;
    list_->schema.fields.back().otherwise.reset();
    return std::move(*this);
  }

  /// Of a node: its rows are what the child of this name takes, or gives: what is known of the
  /// child's tensors is known of the node's. Of a list of children, all of them.
  Fields&& inputs_from(std::string child) && {
    list_->schema.inputs_from = std::move(child);
    return std::move(*this);
  }
  Fields&& outputs_from(std::string child) && {
    list_->schema.outputs_from = std::move(child);
    return std::move(*this);
  }

  const Schema& schema() const noexcept { return list_->schema; }

  /// A T of an object that fits the schema.
  Result<T> read(const Reader& reader) const {
    T result{};
    GALLEY_TRY(list_->read(&result, reader));
    return result;
  }
  /// What JSON says of it; none where it has no text for a member.
  std::optional<Value> write(const T& from) const { return list_->write(&from); }

  /// The same without T, whom whoever calls it knows. Not to be added to any more.
  std::shared_ptr<const detail::FieldList> list() const noexcept { return list_; }

 private:
  std::shared_ptr<detail::FieldList> list_ = std::make_shared<detail::FieldList>();
};

namespace detail {
template <class T>
concept HasFields = requires { T::fields(); } || requires { Described<T>::fields(); };
template <class T>
concept HasChoices = std::is_enum_v<T> && requires { Described<T>::choices(); };

template <class T>
inline constexpr bool is_required = HasFields<T>;  // where a member of its own is
template <class T>
inline constexpr bool is_required<Required<T>> = true;

inline bool has_required(const Schema& schema) {
  if (schema.type != Schema::Type::object) return true;
  for (const Field& field : schema.fields) {
    if (field.required) return true;
  }
  return false;
}
}  // namespace detail

/// The fields of a struct, by its own word or another's.
template <detail::HasFields T>
Fields<T> fields_of() {
  if constexpr (requires { T::fields(); }) {
    return T::fields();
  } else {
    return Described<T>::fields();
  }
}

// ---- implementation ----------------------------------------------------------------------------

namespace detail {

template <class T, class M>
M T::*member_of(const MemberAccess& access) {
  M T::*member = nullptr;
  std::memcpy(&member, access.member.data(), sizeof member);
  return member;
}

template <class T, class M>
MemberAccess access_of(M T::*member) {
  MemberAccess access{
      .member = {},
      .read = [](void* into, const MemberAccess& self, const Reader& reader) -> Result<void> {
        Result<M> value = Codec<M>::read(reader);
        if (!value.has_value()) return std::move(value).error();
        static_cast<T*>(into)->*member_of<T, M>(self) = *std::move(value);
        return {};
      },
      .write = [](const void* from, const MemberAccess& self) -> std::optional<Value> {
        return Codec<M>::write(static_cast<const T*>(from)->*member_of<T, M>(self));
      }};
  static_assert(sizeof member == sizeof access.member);
  std::memcpy(access.member.data(), &member, sizeof member);
  return access;
}

}  // namespace detail

template <class T>
template <class M, class Base>
  requires(std::derived_from<T, Base>)
Fields<T>&& Fields<T>::add(std::string name, M Base::*member, std::string doc,
                           const Limits& limits) && {
  Field field{.name = name,
              .schema = Codec<M>::schema(),
              .required = false,
              .otherwise = {},
              .doc = std::move(doc)};
  limit(field.schema, limits);
  if constexpr (detail::is_required<M>) {
    field.required = detail::has_required(field.schema) || !detail::HasFields<M>;
  }
  if (!field.required) field.otherwise = Codec<M>::write(T{}.*member);
  list_->add(std::move(field), detail::access_of<T, M>(member));
  return std::move(*this);
}

template <class T>
struct Codec {
  static Schema schema() {
    if constexpr (detail::HasFields<T>) {
      return fields_of<T>().schema();
    } else {
      Schema named(Schema::Type::named);
      named.families.push_back(family<T>());
      return named;
    }
  }
  static Result<T> read(const Reader& reader) {
    if constexpr (detail::HasFields<T>) {
      return fields_of<T>().read(reader);
    } else {
      GALLEY_TRY(const std::shared_ptr<const void> found, reader.named(family<T>()));
      return *static_cast<const T*>(found.get());
    }
  }
  static std::optional<Value> write(const T& from) {
    if constexpr (detail::HasFields<T>) {
      return fields_of<T>().write(from);
    } else {
      return std::nullopt;
    }
  }
};

template <>
struct Codec<bool> {
  static Schema schema() { return Schema(Schema::Type::boolean); }
  static Result<bool> read(const Reader& reader) {
    if (const bool* value = reader.value().boolean()) return *value;
    return reader.wrong(schema().expected());
  }
  static std::optional<Value> write(bool from) { return Value(from); }
};

template <std::integral T>
struct Codec<T> {
  static constexpr auto limits = [] {
    using Wide = std::int64_t;
    constexpr bool wide = std::is_unsigned_v<T> && sizeof(T) >= sizeof(Wide);
    return std::pair(
        static_cast<Wide>(std::numeric_limits<T>::min()),
        wide ? std::numeric_limits<Wide>::max() : static_cast<Wide>(std::numeric_limits<T>::max()));
  }();
  static Schema schema() {
    Schema schema(Schema::Type::integer);
    schema.least = limits.first;
    schema.most = limits.second;
    return schema;
  }
  static Result<T> read(const Reader& reader) {
    const std::int64_t* value = reader.value().integer();
    if (value == nullptr || *value < limits.first || *value > limits.second) {
      return reader.wrong(schema().expected());
    }
    return static_cast<T>(*value);
  }
  static std::optional<Value> write(T from) {
    if constexpr (sizeof(T) >= sizeof(std::int64_t) && std::is_unsigned_v<T>) {
      if (from > static_cast<T>(limits.second)) return std::nullopt;
    }
    return Value(static_cast<std::int64_t>(from));
  }
};

template <std::floating_point T>
struct Codec<T> {
  static Schema schema() { return Schema(Schema::Type::number); }
  static Result<T> read(const Reader& reader) {
    if (const double* value = reader.value().number()) return static_cast<T>(*value);
    if (const std::int64_t* value = reader.value().integer()) return static_cast<T>(*value);
    return reader.wrong(schema().expected());
  }
  static std::optional<Value> write(T from) { return Value(static_cast<double>(from)); }
};

template <>
struct Codec<std::string> {
  static Schema schema() { return Schema(Schema::Type::text); }
  static Result<std::string> read(const Reader& reader) {
    if (const std::string* value = reader.value().text()) return *value;
    return reader.wrong(schema().expected());
  }
  static std::optional<Value> write(const std::string& from) { return Value(from); }
};

template <>
struct Codec<Duration> {
  static Schema schema() {
    Schema schema(Schema::Type::duration);
    schema.least = 0;
    return schema;
  }
  static Result<Duration> read(const Reader& reader) {
    if (const std::string* text = reader.value().text()) {
      if (const auto time = parse_duration(*text)) return Duration(*time);
    }
    return reader.wrong(schema().expected());
  }
  static std::optional<Value> write(Duration from) { return Value(duration_text(from.count())); }
};

template <detail::HasChoices T>
struct Codec<T> {
  static Schema schema() {
    Schema schema(Schema::Type::choice);
    for (const auto& [name, value] : Described<T>::choices()) schema.choices.push_back(name);
    return schema;
  }
  static Result<T> read(const Reader& reader) {
    for (const auto& [name, value] : Described<T>::choices()) {
      if (reader.value() == Value(name)) return value;
    }
    return reader.wrong(schema().expected());
  }
  static std::optional<Value> write(T from) {
    for (const auto& [name, value] : Described<T>::choices()) {
      if (value == from) return Value(name);
    }
    return std::nullopt;
  }
};

template <class T>
struct Codec<std::vector<T>> {
  static Schema schema() {
    Schema schema(Schema::Type::list);
    schema.element.push_back(Codec<T>::schema());
    return schema;
  }
  static Result<std::vector<T>> read(const Reader& reader) {
    const Value::List* values = reader.value().list();
    if (values == nullptr) return reader.wrong(schema().expected());
    std::vector<T> items;
    for (const Value& value : *values) {
      const Path path(reader.path(), items.size());
      GALLEY_TRY(T item, Codec<T>::read(reader.below(value, path)));
      items.push_back(std::move(item));
    }
    return items;
  }
  static std::optional<Value> write(const std::vector<T>& from) {
    Value::List values;
    for (const T& item : from) {
      std::optional<Value> value = Codec<T>::write(item);
      if (!value.has_value()) return std::nullopt;
      values.push_back(*std::move(value));
    }
    return Value(std::move(values));
  }
};

template <class T>
struct Codec<std::optional<T>> {
  static Schema schema() { return Codec<T>::schema(); }
  static Result<std::optional<T>> read(const Reader& reader) {
    GALLEY_TRY(T value, Codec<T>::read(reader));
    return std::optional<T>(std::move(value));
  }
  static std::optional<Value> write(const std::optional<T>& from) {
    return from.has_value() ? Codec<T>::write(*from) : std::nullopt;
  }
};

template <class T>
struct Codec<Required<T>> {
  static Schema schema() { return Codec<T>::schema(); }
  static Result<Required<T>> read(const Reader& reader) {
    GALLEY_TRY(T value, Codec<T>::read(reader));
    return Required<T>(std::move(value));
  }
  static std::optional<Value> write(const Required<T>& from) {
    return from.has_value() ? Codec<T>::write(*from) : std::nullopt;
  }
};

template <class In, class Out>
struct Codec<Servable<In, Out>> {
  static Schema schema() {
    Schema schema(Schema::Type::servable);
    schema.rows = row_types<In, Out>();
    return schema;
  }
  static Result<Servable<In, Out>> read(const Reader& reader) {
    GALLEY_TRY(const ErasedServable found, reader.servable(row_types<In, Out>()));
    return found.template as<In, Out>();
  }
  static std::optional<Value> write(const Servable<In, Out>&) { return std::nullopt; }
};

}  // namespace galley::inline v1::io
