using Google.Protobuf;
using Google.Protobuf.WellKnownTypes;
using Google.Rpc;
using Grpc.Core;
using LlamaServe.Engine.Requests;
using Status = Google.Rpc.Status;

namespace LlamaServe.Server.Mapping;

/// <summary>
/// The one table from failures to gRPC statuses. Every status carries a google.rpc.ErrorInfo with a stable reason; a wrong field
/// adds BadRequest, a retry that makes sense adds RetryInfo.
/// </summary>
internal static class StatusTable
{
    /// <summary>ErrorInfo's domain.</summary>
    public const string Domain = "llamaserve.v1";

    private static readonly TimeSpan RetrySoon = TimeSpan.FromSeconds(1);

    private static (Code Code, string Reason) Of(RejectionReason reason) => reason switch
    {
        RejectionReason.InvalidRequest => (Code.InvalidArgument, "INVALID_REQUEST"),
        RejectionReason.DuplicateRequestId => (Code.AlreadyExists, "DUPLICATE_REQUEST_ID"),
        RejectionReason.QueueFull => (Code.ResourceExhausted, "QUEUE_FULL"),
        RejectionReason.NotReady => (Code.Unavailable, "LOADING"),
        RejectionReason.Draining => (Code.Unavailable, "DRAINING"),
        RejectionReason.DeadlineExceeded => (Code.DeadlineExceeded, "DEADLINE_EXCEEDED"),
        _ => (Code.Internal, "INTERNAL"),
    };

    private static (Code Code, string Reason, string Message) Of(FinishReason reason) => reason switch
    {
        FinishReason.Cancelled => (Code.Cancelled, "CANCELLED", "The request was cancelled."),
        FinishReason.DeadlineExceeded => (Code.DeadlineExceeded, "DEADLINE_EXCEEDED", "The request's deadline passed."),
        FinishReason.SlowReader => (Code.ResourceExhausted, "SLOW_READER", "The stream was not read for too long."),
        _ => (Code.Internal, "ENGINE_FAILURE", "The engine failed this request."),
    };

    /// <summary>Whether a sample that ended so leaves its stream OK.</summary>
    public static bool IsSuccess(FinishReason reason) =>
        reason is FinishReason.Stop or FinishReason.Length or FinishReason.ContextFull;

    /// <summary>The status of a refused request.</summary>
    /// <param name="rejection">The engine's refusal.</param>
    /// <param name="fieldPath">The proto field's path of <see cref="Rejection.Field"/>.</param>
    public static RpcException Refused(Rejection rejection, string? fieldPath)
    {
        (Code code, string reason) = Of(rejection.Reason);
        TimeSpan? retryAfter = rejection.RetryAfter
            ?? (code is Code.ResourceExhausted or Code.Unavailable ? RetrySoon : null);
        string message = fieldPath is not null && rejection.Field is { } property && rejection.Message.StartsWith(property, StringComparison.Ordinal)
            ? string.Concat(fieldPath, rejection.Message.AsSpan(property.Length))
            : rejection.Message;
        return Make(code, reason, message, fieldPath, retryAfter);
    }

    /// <summary>The status of a stream whose request ended without success.</summary>
    /// <param name="error">One sentence without internals, where the engine has one.</param>
    public static RpcException Ended(FinishReason finish, string? error = null)
    {
        (Code code, string reason, string message) = Of(finish);
        return Make(code, reason, error ?? message);
    }

    /// <summary>INVALID_ARGUMENT for what only the wire can get wrong.</summary>
    public static RpcException InvalidField(string fieldPath, string message) =>
        Refused(new Rejection(RejectionReason.InvalidRequest, message), fieldPath);

    /// <summary>UNAVAILABLE until the model is loaded.</summary>
    public static RpcException Loading() =>
        Refused(new Rejection(RejectionReason.NotReady, "The model is being loaded."), fieldPath: null);

    /// <summary>UNAVAILABLE for new requests, and for running ones that the drain timeout ends.</summary>
    public static RpcException Draining() =>
        Refused(new Rejection(RejectionReason.Draining, "The server is shutting down."), fieldPath: null);

    /// <summary>NOT_FOUND for a model that is not served.</summary>
    public static RpcException UnknownModel(string served) =>
        Make(Code.NotFound, "MODEL_NOT_FOUND", $"The requested model is not served; \"{served}\" is.", "model");

    /// <summary>INTERNAL for what nobody foresaw; the log has the rest.</summary>
    public static RpcException Unexpected() => Make(Code.Internal, "INTERNAL", "An internal error ended this call.");

    private static RpcException Make(Code code, string reason, string message, string? fieldPath = null, TimeSpan? retryAfter = null)
    {
        Status status = new() { Code = (int)code, Message = message };
        Add(status, new ErrorInfo { Domain = Domain, Reason = reason });
        if (fieldPath is not null && code is Code.InvalidArgument)
        {
            BadRequest.Types.FieldViolation violation = new() { Field = fieldPath, Description = message };
            Add(status, new BadRequest { FieldViolations = { violation } });
        }
        if (retryAfter is { } delay)
        {
            Add(status, new RetryInfo { RetryDelay = Duration.FromTimeSpan(delay) });
        }
        return status.ToRpcException();

        static void Add(Status status, IMessage detail) => status.Details.Add(Any.Pack(detail));
    }
}
