using System.Text.Json.Nodes;
using LlamaServe.Models.Weights;
using LlamaServe.Testing;

namespace LlamaServe.Models.Tests.Configuration;

public sealed class SnapshotRopeTests
{
    private const string Llama31Scaling =
        """{"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}""";

    [Test]
    public void Linear_scaling_divides_every_frequency()
    {
        double[] plain = Frequencies(_ => { });

        double[] scaled = Frequencies(json => json["rope_scaling"] = JsonNode.Parse("""{"type": "linear", "factor": 4}"""));

        Assert.That(scaled, Is.EqualTo(Array.ConvertAll(plain, f => f / 4)));
    }

    [Test]
    public void Llama3_scaling_keeps_short_wavelengths_and_stretches_long_ones()
    {
        double[] scaled = Frequencies(json =>
        {
            json["head_dim"] = 128;
            json["rope_theta"] = 500000;
            json["rope_scaling"] = JsonNode.Parse(Llama31Scaling);
        });

        // Wavelengths up to 8192 / 4 positions stay, from 8192 / 1 on they are stretched eight times.
        double[] plain = [.. Enumerable.Range(0, 64).Select(i => Math.Pow(500000, -i / 64.0))];
        Assert.Multiple(() =>
        {
            for (int i = 0; i < plain.Length; i++)
            {
                double wavelength = 2 * Math.PI / plain[i];
                double lower = wavelength <= 2048 ? plain[i] : plain[i] / 8, upper = wavelength >= 8192 ? plain[i] / 8 : plain[i];
                Assert.That(scaled[i], Is.InRange(lower * (1 - 1e-12), upper * (1 + 1e-12)), $"pair {i}, wavelength {wavelength}");
            }
        });
    }

    [Test]
    public void Rope_parameters_mean_the_same_as_theta_and_scaling()
    {
        double[] older = Frequencies(json =>
        {
            json["rope_theta"] = 500000;
            json["rope_scaling"] = JsonNode.Parse(Llama31Scaling);
        });

        double[] newer = Frequencies(json =>
        {
            json.Remove("rope_theta");
            JsonObject parameters = JsonNode.Parse(Llama31Scaling)!.AsObject();
            parameters["rope_theta"] = 500000;
            json["rope_parameters"] = parameters;
        });

        Assert.That(newer, Is.EqualTo(older));
    }

    [TestCase("rope_scaling", """{"rope_type": "yarn", "factor": 4}""", "'rope_scaling.rope_type' is 'yarn'; supported are default, linear and llama3")]
    [TestCase("rope_scaling", """{"type": "dynamic", "factor": 4}""", "'rope_scaling.type' is 'dynamic'")]
    [TestCase("rope_scaling", """{"type": "linear"}""", "'rope_scaling.factor' is missing")]
    [TestCase("rope_scaling", """{"type": "linear", "factor": 0}""", "'rope_scaling.factor' is 0, not in 1 to 1000000")]
    [TestCase("rope_scaling", """{"rope_type": "llama3", "factor": 8, "low_freq_factor": 4, "high_freq_factor": 4, "original_max_position_embeddings": 64}""", "'rope_scaling.high_freq_factor' is 4, not above low_freq_factor, 4")]
    [TestCase("rope_scaling", "[]", "'rope_scaling' must be an object")]
    [TestCase("rope_parameters", """{"full_attention": {"rope_theta": 10000}}""", "'rope_parameters.full_attention' differs by type of layer")]
    [TestCase("rope_parameters", """{"partial_rotary_factor": 0.25}""", "'rope_parameters.partial_rotary_factor' is not 1")]
    [TestCase("rope_theta", "-5", "'rope_theta' is -5, not in 1 to")]
    public void A_rope_that_is_not_served_is_refused_by_name(string key, string value, string problem)
    {
        CheckpointException? error = Assert.Throws<CheckpointException>(() => Frequencies(json => json[key] = JsonNode.Parse(value)));

        Assert.That(error!.Message, Does.StartWith("config.json: ").And.Contain(problem));
    }

    [Test]
    public void Two_ropes_at_once_are_refused()
    {
        CheckpointException? error = Assert.Throws<CheckpointException>(() => Frequencies(json =>
        {
            json["rope_scaling"] = JsonNode.Parse("""{"type": "linear", "factor": 4}""");
            json["rope_parameters"] = JsonNode.Parse("""{"rope_type": "default"}""");
        }));

        Assert.That(error!.Message, Does.Contain("'rope_parameters' and 'rope_scaling' are both given"));
    }

    private static double[] Frequencies(Action<JsonObject> change) =>
        SnapshotConfigTests.Read(TinyModel.Llama2, change).Rope.InverseFrequencies;
}
