// Statuses in documents: their names.
#pragma once

#include <galley/core/status.hpp>
#include <galley/core/status_set.hpp>
#include <galley/io/fields.hpp>

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace galley::inline v1::io {

template <>
struct Described<Status> {
  static std::vector<std::pair<std::string, Status>> choices() {
    std::vector<std::pair<std::string, Status>> all;
    for (unsigned i = 1; i <= static_cast<unsigned>(Status::internal); ++i) {
      const auto status = static_cast<Status>(i);
      all.emplace_back(to_string(status), status);
    }
    return all;
  }
};

/// A list of their names.
template <>
struct Codec<StatusSet> {
  using List = Codec<std::vector<Status>>;
  static Schema schema() { return List::schema(); }
  static Result<StatusSet> read(const Reader& reader) {
    GALLEY_TRY(const std::vector<Status> listed, List::read(reader));
    StatusSet set;
    for (const Status status : listed) set = set | StatusSet{status};
    return set;
  }
  static std::optional<Value> write(const StatusSet& from) {
    std::vector<Status> listed;
    for (const auto& [name, status] : Described<Status>::choices()) {
      if (from.contains(status)) listed.push_back(status);
    }
    return List::write(listed);
  }
};

}  // namespace galley::inline v1::io
