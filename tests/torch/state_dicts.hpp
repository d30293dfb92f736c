// Files of torch.save: one that Python wrote, and others written by hand.
#pragma once

#include <ATen/core/Tensor.h>
#include <caffe2/serialize/inline_container.h>

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace state_dicts {

/// The bytes of base64.
inline std::string from_base64(std::string_view text) {
  constexpr std::string_view digits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string bytes;
  std::uint32_t bits = 0;
  unsigned count = 0;
  for (const char c : text.substr(0, text.find('='))) {
    bits = bits << 6U | static_cast<std::uint32_t>(digits.find(c));
    count += 6;
    if (count < 8) continue;
    count -= 8;
    bytes += static_cast<char>(bits >> count & 0xffU);
  }
  return bytes;
}

// What Python's torch 2.13 wrote:
//   net = Sequential(Linear(2, 2), BatchNorm1d(2))
//   0.weight = [[1, 2], [3, 4]], 0.bias = [.5, -.5], 1.weight = [2, 3], 1.bias = [1, -1],
//   1.running_mean = [.25, .75], 1.running_var = [4, 1], 1.num_batches_tracked = 7
//   torch.save(net.state_dict(), "net.pt")
// where net.eval()([[1, 1], [-2, 3]]) is [[4.249996, 16.249914], [5.249995, 13.249928]].
inline std::string written_by_python() {
  return from_base64(
      "UEsDBAAACAgAAAAAAAAAAAAAAAAAAAAAAAAMABYAbmV0L2RhdGEucGtsRkISAFpaWlpaWlpaWlpaWlpaWlpaWoACY2Nv"
      "bGxlY3Rpb25zCk9yZGVyZWREaWN0CnEAKVJxAShYCAAAADAud2VpZ2h0cQJjdG9yY2guX3V0aWxzCl9yZWJ1aWxkX3Rl"
      "bnNvcl92MgpxAygoWAcAAABzdG9yYWdlcQRjdG9yY2gKRmxvYXRTdG9yYWdlCnEFWAEAAAAwcQZYAwAAAGNwdXEHSwR0"
      "cQhRSwBLAksChnEJSwJLAYZxColoAClScQt0cQxScQ1YBgAAADAuYmlhc3EOaAMoKGgEaAVYAQAAADFxD2gHSwJ0cRBR"
      "SwBLAoVxEUsBhXESiWgAKVJxE3RxFFJxFVgIAAAAMS53ZWlnaHRxFmgDKChoBGgFWAEAAAAycRdoB0sCdHEYUUsASwKF"
      "cRlLAYVxGoloAClScRt0cRxScR1YBgAAADEuYmlhc3EeaAMoKGgEaAVYAQAAADNxH2gHSwJ0cSBRSwBLAoVxIUsBhXEi"
      "iWgAKVJxI3RxJFJxJVgOAAAAMS5ydW5uaW5nX21lYW5xJmgDKChoBGgFWAEAAAA0cSdoB0sCdHEoUUsASwKFcSlLAYVx"
      "KoloAClScSt0cSxScS1YDQAAADEucnVubmluZ192YXJxLmgDKChoBGgFWAEAAAA1cS9oB0sCdHEwUUsASwKFcTFLAYVx"
      "MoloAClScTN0cTRScTVYFQAAADEubnVtX2JhdGNoZXNfdHJhY2tlZHE2aAMoKGgEY3RvcmNoCkxvbmdTdG9yYWdlCnE3"
      "WAEAAAA2cThoB0sBdHE5UUsAKSmJaAApUnE6dHE7UnE8dX1xPVgJAAAAX21ldGFkYXRhcT5oAClScT8oWAAAAABxQH1x"
      "QVgHAAAAdmVyc2lvbnFCSwFzWAEAAAAwcUN9cURoQksBc1gBAAAAMXFFfXFGaEJLAnN1c2IuUEsHCBqAnNSoAgAAqAIA"
      "AFBLAwQAAAgIAAAAAAAAAAAAAAAAAAAAAAAAEwAXAG5ldC8uZm9ybWF0X3ZlcnNpb25GQhMAWlpaWlpaWlpaWlpaWlpa"
      "WlpaWjFQSwcIt+/cgwEAAAABAAAAUEsDBAAACAgAAAAAAAAAAAAAAAAAAAAAAAAWADsAbmV0Ly5zdG9yYWdlX2FsaWdu"
      "bWVudEZCNwBaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaNjRQSwcI"
      "P3dx6QIAAAACAAAAUEsDBAAACAgAAAAAAAAAAAAAAAAAAAAAAAANAEMAbmV0L2J5dGVvcmRlckZCPwBaWlpaWlpaWlpa"
      "WlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpsaXR0bGVQSwcIhT3jGQYA"
      "AAAGAAAAUEsDBAAACAgAAAAAAAAAAAAAAAAAAAAAAAAKAEIAbmV0L2RhdGEvMEZCPgBaWlpaWlpaWlpaWlpaWlpaWlpa"
      "WlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWgAAgD8AAABAAABAQAAAgEBQSwcIVBSnixAA"
      "AAAQAAAAUEsDBAAACAgAAAAAAAAAAAAAAAAAAAAAAAAKADgAbmV0L2RhdGEvMUZCNABaWlpaWlpaWlpaWlpaWlpaWlpa"
      "WlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaAAAAPwAAAL9QSwcII16NHQgAAAAIAAAAUEsDBAAACAgAAAAA"
      "AAAAAAAAAAAAAAAAAAAKAEAAbmV0L2RhdGEvMkZCPABaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpa"
      "WlpaWlpaWlpaWlpaWlpaWlpaWlpaWloAAABAAABAQFBLBwi1iXS7CAAAAAgAAABQSwMEAAAICAAAAAAAAAAAAAAAAAAA"
      "AAAAAAoAQABuZXQvZGF0YS8zRkI8AFpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpa"
      "WlpaWlpaWlpaWlpaWgAAgD8AAIC/UEsHCLDSvjgIAAAACAAAAFBLAwQAAAgIAAAAAAAAAAAAAAAAAAAAAAAACgBAAG5l"
      "dC9kYXRhLzRGQjwAWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpa"
      "WlpaAACAPgAAQD9QSwcIbq+cIwgAAAAIAAAAUEsDBAAACAgAAAAAAAAAAAAAAAAAAAAAAAAKAEAAbmV0L2RhdGEvNUZC"
      "PABaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWloAAIBAAACA"
      "P1BLBwiOJoSuCAAAAAgAAABQSwMEAAAICAAAAAAAAAAAAAAAAAAAAAAAAAoAQABuZXQvZGF0YS82RkI8AFpaWlpaWlpa"
      "WlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWgcAAAAAAAAAUEsHCHDW528I"
      "AAAACAAAAFBLAwQAAAgIAAAAAAAAAAAAAAAAAAAAAAAACwA/AG5ldC92ZXJzaW9uRkI7AFpaWlpaWlpaWlpaWlpaWlpa"
      "WlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaMwpQSwcI0Z5nVQIAAAACAAAAUEsDBAAACAgA"
      "AAAAAAAAAAAAAAAAAAAAAAAaADYAbmV0Ly5kYXRhL3NlcmlhbGl6YXRpb25faWRGQjIAWlpaWlpaWlpaWlpaWlpaWlpa"
      "WlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlowNjg5NTI5NTY0Nzg1MjA2NTU3ODAyMzEwOTE1ODE4Njc2MDgx"
      "MzYyUEsHCK7NESYoAAAAKAAAAFBLAQIAAAAACAgAAAAAAAAagJzUqAIAAKgCAAAMAAAAAAAAAAAAAAAAAAAAAABuZXQv"
      "ZGF0YS5wa2xQSwECAAAAAAgIAAAAAAAAt+/cgwEAAAABAAAAEwAAAAAAAAAAAAAAAAD4AgAAbmV0Ly5mb3JtYXRfdmVy"
      "c2lvblBLAQIAAAAACAgAAAAAAAA/d3HpAgAAAAIAAAAWAAAAAAAAAAAAAAAAAFEDAABuZXQvLnN0b3JhZ2VfYWxpZ25t"
      "ZW50UEsBAgAAAAAICAAAAAAAAIU94xkGAAAABgAAAA0AAAAAAAAAAAAAAAAA0gMAAG5ldC9ieXRlb3JkZXJQSwECAAAA"
      "AAgIAAAAAAAAVBSnixAAAAAQAAAACgAAAAAAAAAAAAAAAABWBAAAbmV0L2RhdGEvMFBLAQIAAAAACAgAAAAAAAAjXo0d"
      "CAAAAAgAAAAKAAAAAAAAAAAAAAAAAOAEAABuZXQvZGF0YS8xUEsBAgAAAAAICAAAAAAAALWJdLsIAAAACAAAAAoAAAAA"
      "AAAAAAAAAAAAWAUAAG5ldC9kYXRhLzJQSwECAAAAAAgIAAAAAAAAsNK+OAgAAAAIAAAACgAAAAAAAAAAAAAAAADYBQAA"
      "bmV0L2RhdGEvM1BLAQIAAAAACAgAAAAAAABur5wjCAAAAAgAAAAKAAAAAAAAAAAAAAAAAFgGAABuZXQvZGF0YS80UEsB"
      "AgAAAAAICAAAAAAAAI4mhK4IAAAACAAAAAoAAAAAAAAAAAAAAAAA2AYAAG5ldC9kYXRhLzVQSwECAAAAAAgIAAAAAAAA"
      "cNbnbwgAAAAIAAAACgAAAAAAAAAAAAAAAABYBwAAbmV0L2RhdGEvNlBLAQIAAAAACAgAAAAAAADRnmdVAgAAAAIAAAAL"
      "AAAAAAAAAAAAAAAAANgHAABuZXQvdmVyc2lvblBLAQIAAAAACAgAAAAAAACuzREmKAAAACgAAAAaAAAAAAAAAAAAAAAA"
      "AFIIAABuZXQvLmRhdGEvc2VyaWFsaXphdGlvbl9pZFBLBgYsAAAAAAAAAB4DLQAAAAAAAAAAAA0AAAAAAAAADQAAAAAA"
      "AAADAwAAAAAAAPgIAAAAAAAAUEsGBwAAAAD7CwAAAAAAAAEAAABQSwUGAAAAAA0ADQADAwAA+AgAAAAA");
}

using Records = std::vector<std::pair<std::string, std::string>>;

/// An archive of these records.
inline std::string archive(const Records& records) {
  std::string file;
  caffe2::serialize::PyTorchStreamWriter writer([&file](const void* data, std::size_t size) {
    file.append(static_cast<const char*>(data), size);
    return size;
  });
  for (const auto& [name, content] : records) {
    writer.writeRecord(name, content.data(), content.size());
  }
  writer.writeEndOfFile();
  return file;
}

// Pickles, put together from their parts.
using Parts = std::initializer_list<std::string>;

inline std::string joined(Parts parts) {
  std::string all;
  for (const std::string& part : parts) all += part;
  return all;
}

inline std::string integer(std::int64_t value) {
  std::string bytes = "\x8a\x08";
  for (unsigned i = 0; i < 8; ++i) {
    bytes += static_cast<char>(static_cast<std::uint64_t>(value) >> 8 * i & 0xffU);
  }
  return bytes;
}

inline std::string text(std::string_view value) {
  std::string bytes = "X";
  for (unsigned i = 0; i < 4; ++i) bytes += static_cast<char>(value.size() >> 8 * i & 0xffU);
  return bytes.append(value);
}

inline std::string tuple(Parts items) {
  return "(" + joined(items) + "t";
}

inline std::string counts(const std::vector<std::int64_t>& values) {
  std::string all = "(";
  for (const std::int64_t value : values) all += integer(value);
  return all + "t";
}

/// Keys and values in turn.
inline std::string dict(Parts items) {
  return "}(" + joined(items) + "u";
}

/// What calling `global` ("module\nname") with these arguments gives.
inline std::string object(const std::string& global, const std::string& arguments) {
  return "c" + global + "\n" + arguments + "R";
}

inline std::string stored(const std::string& type, const std::string& key) {
  return tuple({text("storage"), "ctorch\n" + type + "\n", text(key), text("cpu"), integer(1)}) +
         "Q";
}

/// A tensor of the memory in the record "data/<key>".
inline std::string tensor(const std::string& type, const std::string& key, std::int64_t offset,
                          const std::vector<std::int64_t>& sizes,
                          const std::vector<std::int64_t>& strides) {
  return object("torch._utils\n_rebuild_tensor_v2",
                tuple({stored(type, key), integer(offset), counts(sizes), counts(strides), "\x89",
                       object("collections\nOrderedDict", ")")}));
}

inline std::string pickle(const std::string& value) {
  return "\x80\x02" + value + ".";
}

/// The file of this value and this memory.
inline std::string file(const std::string& value, Records memory = {}) {
  memory.insert(memory.begin(), {"data.pkl", pickle(value)});
  return archive(memory);
}

/// The bytes of numbers.
template <class T>
std::string bytes_of(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

}  // namespace state_dicts
