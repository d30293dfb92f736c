#include <galley/core/text.hpp>
#include <src/torch/errors.hpp>
#include <src/torch/torch_compat.hpp>

#include <algorithm>
#include <cstddef>
#include <exception>
#include <new>

namespace galley::inline v1::detail {

namespace {

constexpr std::size_t longest = 300;

std::string_view without_prefix(std::string_view text, std::string_view begin,
                                std::string_view end) {
  if (!text.starts_with(begin)) return text;
  const std::size_t at = text.find(end);
  return at == text.npos ? text : text.substr(at + end.size());
}

// The interpreter's text is a traceback whose last line says what happened: "RuntimeError: …".
std::string_view after_traceback(std::string_view text) {
  if (text.find("Traceback") == text.npos) return text;
  const std::size_t error = text.rfind("Error: ");
  return error == text.npos ? text : text.substr(error + 7);
}

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view blank = " \t\r\n";
  const std::size_t first = text.find_first_not_of(blank);
  if (first == text.npos) return {};
  return text.substr(first, text.find_last_not_of(blank) - first + 1);
}

}  // namespace

std::string one_line(std::string_view text) {
  text = trimmed(after_traceback(text));
  text = without_prefix(text, "[enforce fail at ", "] . ");
  for (const std::string_view tail : {"\n", "Exception raised from", " (at "}) {
    text = trimmed(text.substr(0, text.find(tail)));
  }
  std::string line(text.substr(0, longest));
  if (text.size() > longest) line.append("…");
  return line.empty() ? "no reason given" : line;
}

Error caught(Status otherwise) noexcept {
  try {
    throw;
  } catch (const std::bad_alloc&) {
    return Error(Status::resource_exhausted, "out of memory");
  } catch (const std::exception& e) {
    if (is_out_of_memory(e)) {
      return Error(Status::resource_exhausted, text({"LibTorch: ", one_line(exception_text(e))}));
    }
    return Error(otherwise, text({"LibTorch: ", one_line(exception_text(e))}));
  } catch (...) {
    return Error(otherwise, "threw something that is not a std::exception");
  }
}

}  // namespace galley::inline v1::detail
