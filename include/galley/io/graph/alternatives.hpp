// Alternatives: a member that is named in one of several ways, and what is named whatever it is.
#pragma once

#include <galley/io/fields.hpp>
#include <galley/io/reader.hpp>
#include <galley/io/schema.hpp>

#include <memory>
#include <optional>
#include <utility>
#include <variant>

namespace galley::inline v1::io {

/// A thing of one of several families, none of which has a text of its own in JSON: the first that
/// has what the document names or describes.
template <class... Ts>
struct Codec<std::variant<Ts...>> {
  using One = std::variant<Ts...>;

  static Schema schema() {
    Schema named(Schema::Type::named);
    (named.families.push_back(family<Ts>()), ...);
    return named;
  }
  static Result<One> read(const Reader& reader) {
    Result<One> found = reader.wrong(schema().expected());
    (void)(is_read<Ts>(reader, found) || ...);
    return found;
  }
  static std::optional<Value> write(const One&) { return std::nullopt; }

 private:
  template <class T>
  static bool is_read(const Reader& reader, Result<One>& found) {
    if (!reader.names(family<T>())) return false;
    Result<T> read = Codec<T>::read(reader);
    if (read.has_value()) {
      found = One(std::in_place_type<T>, *std::move(read));
    } else {
      found = std::move(read).error();
    }
    return true;
  }
};

/// A T that is named, or made by a policy for T, also where JSON could say it as it is.
template <class T>
struct Named {
  T value;
};

template <class T>
struct Codec<Named<T>> {
  static Schema schema() {
    Schema named(Schema::Type::named);
    named.families.push_back(family<T>());
    return named;
  }
  static Result<Named<T>> read(const Reader& reader) {
    GALLEY_TRY(const std::shared_ptr<const void> found, reader.named(family<T>()));
    return Named<T>{*static_cast<const T*>(found.get())};
  }
  static std::optional<Value> write(const Named<T>&) { return std::nullopt; }
};

}  // namespace galley::inline v1::io
