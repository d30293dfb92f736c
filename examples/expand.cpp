// Expand: a detector finds boxes in frames, a classifier names what is in each box, and each frame
// gets its list back. The boxes of all frames go to the classifier in one batch.
#include <galley/compose/expand.hpp>
#include <galley/galley.hpp>

#include <cstdio>
#include <string>
#include <utility>
#include <vector>

namespace {

/// A line of grey levels; things are brighter than their surroundings.
using Frame = std::vector<int>;

/// A frame, and where the detector says that things are: first and one beyond last.
struct Found {
  Frame frame;
  std::vector<std::pair<int, int>> boxes;
};

galley::Result<Found> detect(const Frame& frame) {
  if (frame.empty()) return galley::Error(galley::Status::invalid_argument, "no pixels");
  Found found{frame, {}};
  const int n = static_cast<int>(frame.size());
  for (int i = 0; i < n; ++i) {
    const int first = i;
    while (i < n && frame[static_cast<std::size_t>(i)] > 0) ++i;
    if (i > first) found.boxes.emplace_back(first, i);
  }
  return found;
}

std::vector<Frame> crops(const Found& found) {
  std::vector<Frame> all;
  for (const auto& [first, end] : found.boxes) {
    all.emplace_back(found.frame.begin() + first, found.frame.begin() + end);
  }
  return all;
}

std::string list(const Found&, const galley::Rows<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text.append(text.empty() ? "" : ", ").append(name);
  return text.empty() ? "nothing" : text;
}

}  // namespace

int main() {
  const auto classify = galley::map_batch("classify", [](const galley::Rows<Frame>& crops_of_all) {
    std::printf("classifies %zu crops\n", crops_of_all.size());
    galley::Outcomes<std::string> names;
    for (std::size_t i = 0; i < crops_of_all.size(); ++i) {
      const Frame& crop = crops_of_all[i];
      if (crop[0] > 9) {
        names.casualties().append(i, galley::Error(galley::Status::invalid_argument, "too bright"));
      } else {
        names.survivors().push_back(crop.size() == 1 ? "a dot" : "a bar");
      }
    }
    return names;
  });
  const auto name_things = galley::map("detect", detect) | galley::expand(crops, classify, list);
  const galley::Rows<Frame> frames{{0, 5, 0, 0, 7, 7}, {0, 0}, {}, {1, 0, 99}, {4, 4, 0, 1, 0, 2}};
  const galley::Outcomes<std::string> outcomes = name_things.serve_rows(frames);
  for (std::size_t i = 0; i < outcomes.size(); ++i) {
    std::printf("%s\n", outcomes[i] ? (*outcomes[i]).c_str()
                                    : galley::to_string(outcomes[i].error()).c_str());
  }
  return 0;
}

// prints:
// classifies 7 crops
// a dot, a bar
// nothing
// invalid_argument: detect: no pixels
// invalid_argument: expand(classify): item 1: classify: too bright
// a bar, a dot, a dot
