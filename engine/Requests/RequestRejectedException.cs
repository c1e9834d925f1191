namespace LlamaServe.Engine.Requests;

/// <summary>A request was not taken; <see cref="Rejection"/> says why, in words fit for the caller.</summary>
public sealed class RequestRejectedException(Rejection rejection) : Exception(rejection.Message)
{
    public Rejection Rejection { get; } = rejection;
}
