// Safetensors files written by hand.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace support {

/// The file of this header and these bytes behind it.
inline std::string safetensors_file(std::string_view header, std::string_view data = {}) {
  std::string file;
  for (unsigned i = 0; i < 8; ++i) {
    file += static_cast<char>(static_cast<std::uint64_t>(header.size()) >> 8 * i & 0xffU);
  }
  return file.append(header).append(data);
}

/// Writes tensors one after the other, as the usual writers do: a header padded to eight bytes.
class SafetensorsWriter {
 public:
  SafetensorsWriter& metadata(const std::string& members) {
    return entry("\"__metadata__\":{" + members + "}");
  }
  SafetensorsWriter& bytes(const std::string& name, const std::string& dtype,
                           const std::string& shape, std::string_view data) {
    const std::size_t begin = data_.size();
    data_.append(data);
    return entry("\"" + name + "\":{\"dtype\":\"" + dtype + "\",\"shape\":[" + shape +
                 "],\"data_offsets\":[" + std::to_string(begin) + "," +
                 std::to_string(data_.size()) + "]}");
  }
  template <class T>
  SafetensorsWriter& tensor(const std::string& name, const std::string& dtype,
                            const std::string& shape, const std::vector<T>& values) {
    return bytes(name, dtype, shape,
                 {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)});
  }
  std::string file() const {
    std::string header = "{" + header_ + "}";
    header.append((8 - header.size() % 8) % 8, ' ');
    return safetensors_file(header, data_);
  }

 private:
  SafetensorsWriter& entry(const std::string& text) {
    header_.append(header_.empty() ? "" : ",").append(text);
    return *this;
  }
  std::string header_;
  std::string data_;
};

}  // namespace support
