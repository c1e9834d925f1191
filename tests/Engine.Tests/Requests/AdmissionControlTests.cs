using LlamaServe.Engine.Requests;

namespace LlamaServe.Engine.Tests.Requests;

public class AdmissionControlTests
{
    private static readonly EngineOptions Options = new()
    {
        MaxRequests = 10,
        MaxRequestsPerTenant = 3,
        MaxTokensInFlight = 1000,
        MaxHostBytes = 1 << 20,
        MaxHostBytesPerRequest = 1 << 20,
    };

    [Test]
    public void Bounds_the_tokens_and_the_memory_of_all_requests_together()
    {
        var admission = new AdmissionControl(Options);
        Assert.That(admission.TryEnter("1", "", new RequestCost(900, 100)), Is.Null);
        Assert.That(admission.TryEnter("2", "", new RequestCost(200, 100))!.Reason, Is.EqualTo(RejectionReason.QueueFull));
        Assert.That(admission.TryEnter("3", "", new RequestCost(10, 1 << 20))!.Reason, Is.EqualTo(RejectionReason.QueueFull));
        admission.Leave("1", "", new RequestCost(900, 100));
        Assert.That(admission.TryEnter("2", "", new RequestCost(200, 100)), Is.Null);
    }

    [Test]
    public void A_request_larger_than_the_bound_runs_when_it_is_alone() =>
        Assert.That(new AdmissionControl(Options).TryEnter("1", "", new RequestCost(5000, 100)), Is.Null);

    [Test]
    public void Says_when_to_come_back_from_the_rate_of_work()
    {
        var admission = new AdmissionControl(Options);
        admission.ReportRate(100);
        admission.TryEnter("1", "", new RequestCost(800, 100));
        Rejection refusal = admission.TryEnter("2", "", new RequestCost(800, 100))!;
        Assert.That(refusal.RetryAfter, Is.EqualTo(TimeSpan.FromSeconds(8)));
    }

    [Test]
    public async Task Tells_when_the_last_request_has_left()
    {
        var admission = new AdmissionControl(Options);
        admission.TryEnter("1", "a", default);
        admission.TryEnter("2", "b", default);
        Task empty = admission.WhenEmpty();
        admission.Leave("1", "a", default);
        Assert.That(empty.IsCompleted, Is.False);
        admission.Leave("2", "b", default);
        await empty.WaitAsync(TimeSpan.FromMinutes(1));
        Assert.That(admission.Count, Is.Zero);
    }
}
