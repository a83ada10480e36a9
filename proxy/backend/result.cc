// Results of statements: the packets of COM_QUERY answers.

#include "proxy/backend/result.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/byte_reader.h"
#include "common/base/status_macros.h"

namespace sluice::proxy {
namespace {

constexpr uint8_t kOkByte = 0x00;
constexpr uint8_t kLocalFileByte = 0xFB;
constexpr uint8_t kEofByte = 0xFE;
constexpr uint8_t kErrorByte = 0xFF;
// OK and error packets are small; session state in them is bounded by the largest packet.
constexpr size_t kControlBytesMax = kPacketPayloadMax;

// Takes the packets of one answer from a backend and hands them to a sink.
class AnswerReader {
 public:
  AnswerReader(Channel& backend, uint64_t capabilities, const Wait& wait)
      : backend_(backend), capabilities_(capabilities), wait_(wait) {}

  // Begins the next packet: its kind by the first byte.
  absl::Status Next() {
    SLUICE_ASSIGN_OR_RETURN(header_, backend_.ReadHeader(wait_));
    first_ = 0;
    if (header_.size > 0) {
      SLUICE_ASSIGN_OR_RETURN(first_, backend_.PeekByte(wait_));
    }
    return absl::OkStatus();
  }

  // The payload of a small packet.
  absl::StatusOr<std::string> Whole() {
    if (header_.continues) {
      return absl::UnavailableError("connection lost: the server sent a malformed packet");
    }
    std::string payload;
    for (size_t left = header_.size; left > 0;) {
      SLUICE_ASSIGN_OR_RETURN(const absl::string_view chunk, backend_.Chunk(left, wait_));
      payload.append(chunk.data(), chunk.size());
      left -= chunk.size();
    }
    return payload;
  }

  // Whether the current packet ends a list of rows or columns.
  [[nodiscard]] bool IsEnd() const {
    const size_t limit = DeprecatesEof() ? kControlBytesMax : 9;
    return first_ == kEofByte && header_.size > 0 && header_.size < limit;
  }
  [[nodiscard]] bool IsError() const { return first_ == kErrorByte && header_.size > 0; }
  [[nodiscard]] bool DeprecatesEof() const { return (capabilities_ & kClientDeprecateEof) != 0; }
  [[nodiscard]] const PacketHeader& header() const { return header_; }
  [[nodiscard]] uint8_t first() const { return first_; }
  [[nodiscard]] Channel& channel() { return backend_; }
  [[nodiscard]] const Wait& wait() const { return wait_; }

 private:
  Channel& backend_;
  const uint64_t capabilities_;
  const Wait& wait_;
  PacketHeader header_;
  uint8_t first_ = 0;
};

absl::Status Malformed() {
  return absl::UnavailableError("connection lost: the server sent a malformed packet");
}

// The status of an end-of-rows packet in either form.
absl::StatusOr<OkPacket> ReadEnd(AnswerReader& reader) {
  SLUICE_ASSIGN_OR_RETURN(const std::string payload, reader.Whole());
  if (reader.DeprecatesEof()) {
    auto ok = ParseOk(payload);
    if (!ok.ok()) {
      return Malformed();
    }
    return ok;
  }
  auto eof = ParseEof(payload);
  if (!eof.ok()) {
    return Malformed();
  }
  OkPacket ok;
  ok.status = eof->status;
  ok.warnings = eof->warnings;
  return ok;
}

absl::StatusOr<uint64_t> ColumnCount(absl::string_view payload) {
  ByteReader bytes(payload);
  const uint64_t count = bytes.PackedInt();
  if (bytes.failed() || count == 0) {
    return Malformed();
  }
  return count;
}

// Forwards one answer; every failure of the client's side becomes ABORTED.
class Forwarder {
 public:
  Forwarder(const Forwarding& forwarding, Response& response)
      : forwarding_(forwarding),
        response_(response),
        reader_(forwarding.backend, forwarding.backend_capabilities, forwarding.backend_wait) {}

  absl::Status Run() {
    bool more = true;
    while (more) {
      SLUICE_ASSIGN_OR_RETURN(more, OneResult());
    }
    if (!response_.forwarded) {
      return absl::OkStatus();
    }
    return Client(forwarding_.client.Flush(forwarding_.client_wait));
  }

 private:
  static absl::Status Client(const absl::Status& status) {
    return status.ok() ? status
                       : absl::AbortedError(absl::StrCat("the client is gone: ", status.message()));
  }

  // Whether the client expects OK packets at the end of rows.
  [[nodiscard]] bool ClientDeprecatesEof() const {
    return (forwarding_.client_capabilities & kClientDeprecateEof) != 0;
  }

  absl::Status Send(absl::string_view payload) {
    response_.forwarded = true;
    return Client(forwarding_.client.WritePacket(payload, forwarding_.client_wait));
  }

  // What the client has got so far goes out before a wait for the backend.
  absl::Status NextPacket() {
    if (forwarding_.client.has_output() && !forwarding_.backend.HasInput()) {
      SLUICE_RETURN_IF_ERROR(Client(forwarding_.client.Flush(forwarding_.client_wait)));
    }
    return reader_.Next();
  }

  // One result set or OK; true when another follows.
  absl::StatusOr<bool> OneResult() {
    SLUICE_RETURN_IF_ERROR(NextPacket());
    if (reader_.IsError()) {
      SLUICE_RETURN_IF_ERROR(Error());
      return false;
    }
    if (reader_.first() == kLocalFileByte) {
      return Malformed();
    }
    SLUICE_ASSIGN_OR_RETURN(const std::string payload, reader_.Whole());
    if (reader_.first() == kOkByte) {
      auto ok = ParseOk(payload);
      if (!ok.ok()) {
        return Malformed();
      }
      response_.status = ok->status;
      response_.insert_id = ok->last_insert_id == 0 ? response_.insert_id : ok->last_insert_id;
      SLUICE_RETURN_IF_ERROR(Send(BuildOk(*ok)));
      return (ok->status & kStatusMoreResults) != 0;
    }
    SLUICE_ASSIGN_OR_RETURN(const uint64_t columns, ColumnCount(payload));
    SLUICE_RETURN_IF_ERROR(Send(payload));
    SLUICE_RETURN_IF_ERROR(Columns(columns));
    return Rows();
  }

  absl::Status Error() {
    SLUICE_ASSIGN_OR_RETURN(const std::string payload, reader_.Whole());
    auto error = ParseError(payload);
    if (!error.ok()) {
      return Malformed();
    }
    response_.is_error = true;
    response_.error = *std::move(error);
    if (!response_.forwarded && forwarding_.keep_back && forwarding_.keep_back(response_.error)) {
      return absl::OkStatus();
    }
    return Send(payload);
  }

  absl::Status Columns(uint64_t count) {
    for (uint64_t i = 0; i < count; ++i) {
      SLUICE_RETURN_IF_ERROR(NextPacket());
      SLUICE_ASSIGN_OR_RETURN(const std::string column, reader_.Whole());
      SLUICE_RETURN_IF_ERROR(Send(column));
    }
    EofPacket eof;
    if (!reader_.DeprecatesEof()) {
      SLUICE_RETURN_IF_ERROR(NextPacket());
      SLUICE_ASSIGN_OR_RETURN(const OkPacket end, ReadEnd(reader_));
      eof.status = end.status;
      eof.warnings = end.warnings;
    } else {
      eof.status = kStatusAutocommit;
    }
    return ClientDeprecatesEof() ? absl::OkStatus() : Send(BuildEof(eof));
  }

  absl::StatusOr<bool> Rows() {
    while (true) {
      SLUICE_RETURN_IF_ERROR(NextPacket());
      if (reader_.IsError()) {
        SLUICE_RETURN_IF_ERROR(Error());
        return false;
      }
      if (reader_.IsEnd()) {
        SLUICE_ASSIGN_OR_RETURN(const OkPacket end, ReadEnd(reader_));
        response_.status = end.status;
        SLUICE_RETURN_IF_ERROR(Send(ClientDeprecatesEof() ? BuildOk(end, kEofByte)
                                                          : BuildEof({end.warnings, end.status})));
        return (end.status & kStatusMoreResults) != 0;
      }
      SLUICE_RETURN_IF_ERROR(Row());
    }
  }

  // Copies one row, whatever its size, piece by piece.
  absl::Status Row() {
    Channel& client = forwarding_.client;
    PacketHeader header = reader_.header();
    // A first cell of 16 MiB or more, which fills the packet, or the client would see an end here.
    if (reader_.first() == kEofByte && !header.continues) {
      return Malformed();
    }
    response_.forwarded = true;
    while (true) {
      SLUICE_RETURN_IF_ERROR(Client(client.WriteHeader(header.size, forwarding_.client_wait)));
      for (size_t left = header.size; left > 0;) {
        SLUICE_ASSIGN_OR_RETURN(const absl::string_view chunk,
                                reader_.channel().Chunk(left, reader_.wait()));
        SLUICE_RETURN_IF_ERROR(Client(client.WriteBytes(chunk, forwarding_.client_wait)));
        left -= chunk.size();
      }
      if (!header.continues) {
        return absl::OkStatus();
      }
      SLUICE_ASSIGN_OR_RETURN(header, reader_.channel().ReadHeader(reader_.wait()));
    }
  }

  const Forwarding& forwarding_;
  Response& response_;
  AnswerReader reader_;
};

std::string FirstCell(absl::string_view row) {
  ByteReader bytes(row);
  if (!row.empty() && static_cast<uint8_t>(row[0]) == kLocalFileByte) {  // NULL
    return {};
  }
  const uint64_t size = bytes.PackedInt();
  return std::string(bytes.Bytes(static_cast<size_t>(size)));
}

}  // namespace

absl::StatusOr<Response> ReadResult(Channel& backend, uint64_t capabilities, const Wait& wait,
                                    std::string* cell) {
  AnswerReader reader(backend, capabilities, wait);
  Response response;
  bool more = true;
  while (more) {
    SLUICE_RETURN_IF_ERROR(reader.Next());
    const bool is_error = reader.IsError();
    const bool is_ok = reader.first() == kOkByte;
    SLUICE_ASSIGN_OR_RETURN(std::string payload, reader.Whole());
    if (is_error) {
      SLUICE_ASSIGN_OR_RETURN(response.error, ParseError(payload));
      response.is_error = true;
      return response;
    }
    OkPacket end;
    if (is_ok) {
      SLUICE_ASSIGN_OR_RETURN(end, ParseOk(payload));
    } else {
      SLUICE_ASSIGN_OR_RETURN(const uint64_t columns, ColumnCount(payload));
      const uint64_t definitions = columns + (reader.DeprecatesEof() ? 0U : 1U);
      for (uint64_t i = 0; i < definitions; ++i) {
        SLUICE_RETURN_IF_ERROR(reader.Next());
        SLUICE_RETURN_IF_ERROR(reader.Whole().status());
      }
      SLUICE_RETURN_IF_ERROR(reader.Next());
      while (!reader.IsEnd()) {
        const bool failed = reader.IsError();
        SLUICE_ASSIGN_OR_RETURN(payload, reader.Whole());
        if (failed) {
          SLUICE_ASSIGN_OR_RETURN(response.error, ParseError(payload));
          response.is_error = true;
          return response;
        }
        if (cell != nullptr) {
          *cell = FirstCell(payload);
        }
        SLUICE_RETURN_IF_ERROR(reader.Next());
      }
      SLUICE_ASSIGN_OR_RETURN(end, ReadEnd(reader));
    }
    response.status = end.status;
    more = (end.status & kStatusMoreResults) != 0;
  }
  return response;
}

absl::Status ForwardResult(const Forwarding& forwarding, Response& response) {
  return Forwarder(forwarding, response).Run();
}

}  // namespace sluice::proxy
