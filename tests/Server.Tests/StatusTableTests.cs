using Google.Rpc;
using Grpc.Core;
using LlamaServe.Engine.Requests;
using LlamaServe.Server.Mapping;

namespace LlamaServe.Server.Tests;

/// <summary>The table from failures to statuses, line by line.</summary>
public sealed class StatusTableTests
{
    [TestCase(RejectionReason.InvalidRequest, StatusCode.InvalidArgument, "INVALID_REQUEST", false)]
    [TestCase(RejectionReason.DuplicateRequestId, StatusCode.AlreadyExists, "DUPLICATE_REQUEST_ID", false)]
    [TestCase(RejectionReason.QueueFull, StatusCode.ResourceExhausted, "QUEUE_FULL", true)]
    [TestCase(RejectionReason.NotReady, StatusCode.Unavailable, "LOADING", true)]
    [TestCase(RejectionReason.Draining, StatusCode.Unavailable, "DRAINING", true)]
    [TestCase(RejectionReason.DeadlineExceeded, StatusCode.DeadlineExceeded, "DEADLINE_EXCEEDED", false)]
    public void A_refusal_has_its_status_and_reason(RejectionReason reason, StatusCode code, string name, bool retry)
    {
        RpcException failure = StatusTable.Refused(new Rejection(reason, "Because."), fieldPath: null);
        Assert.Multiple(() =>
        {
            Assert.That(failure.StatusCode, Is.EqualTo(code));
            Assert.That(failure.Status.Detail, Is.EqualTo("Because."));
            Assert.That(failure.GetRpcStatus()!.GetDetail<ErrorInfo>()!.Reason, Is.EqualTo(name));
            Assert.That(failure.GetRpcStatus()!.GetDetail<RetryInfo>() is not null, Is.EqualTo(retry));
        });
    }

    [Test]
    public void Every_refusal_is_in_the_table() => Assert.That(
        Enum.GetValues<RejectionReason>().Select(reason => StatusTable.Refused(new Rejection(reason, "x"), null).StatusCode),
        Has.None.EqualTo(StatusCode.Internal));

    [TestCase(FinishReason.Cancelled, StatusCode.Cancelled)]
    [TestCase(FinishReason.DeadlineExceeded, StatusCode.DeadlineExceeded)]
    [TestCase(FinishReason.SlowReader, StatusCode.ResourceExhausted)]
    [TestCase(FinishReason.Error, StatusCode.Internal)]
    public void An_unsuccessful_end_has_its_status(FinishReason finish, StatusCode code)
    {
        Assert.That(StatusTable.IsSuccess(finish), Is.False);
        Assert.That(StatusTable.Ended(finish).StatusCode, Is.EqualTo(code));
    }

    [TestCase(FinishReason.Stop)]
    [TestCase(FinishReason.Length)]
    [TestCase(FinishReason.ContextFull)]
    public void A_successful_end_is_none(FinishReason finish) => Assert.That(StatusTable.IsSuccess(finish), Is.True);

    [Test]
    public void A_retry_after_the_engines_own_time_is_passed_on()
    {
        Rejection rejection = new(RejectionReason.QueueFull, "Full.", RetryAfter: TimeSpan.FromSeconds(7));
        RetryInfo retry = StatusTable.Refused(rejection, null).GetRpcStatus()!.GetDetail<RetryInfo>()!;
        Assert.That(retry.RetryDelay.ToTimeSpan(), Is.EqualTo(TimeSpan.FromSeconds(7)));
    }

    [Test]
    public void A_message_speaks_of_the_wires_field()
    {
        Rejection rejection = new(RejectionReason.InvalidRequest, "TopP is 3; it must be at most 1.", "TopP");
        RpcException failure = StatusTable.Refused(rejection, "sampling.top_p");
        Assert.That(failure.Status.Detail, Is.EqualTo("sampling.top_p is 3; it must be at most 1."));
    }

    [Test]
    public void What_nobody_foresaw_tells_nothing() =>
        Assert.That(StatusTable.Unexpected().Status.Detail, Is.EqualTo("An internal error ended this call."));
}
